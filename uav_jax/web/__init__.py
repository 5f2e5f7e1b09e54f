"""A page to try it: drop a video, see the plan, preview a second, run, compare, download."""
