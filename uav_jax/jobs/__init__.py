"""From video files to video files: plans, journals, claims, folders of videos."""
