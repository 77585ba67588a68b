"""Many requests in one file: read, checked, fed to the job store as there is room, and answered in files."""
