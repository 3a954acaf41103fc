"""What the loop in `train.py` leans on: the run as processes, what it keeps, what it says, and when it stops."""
