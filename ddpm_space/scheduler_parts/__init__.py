"""What `NotesDDPMScheduler` is made of: the coefficients of a chain, diffusers' names for schedules, options, thresholding, export."""
