"""Uploads are decoded by a process that has little to lose: a new one for each, with bounds that the kernel keeps."""
