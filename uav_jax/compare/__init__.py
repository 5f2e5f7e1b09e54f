"""Before and after, to look at: a split-screen video and a page with a slider."""
