"""What goes to the Hub beside the weights, and how a commit gets there. `hub.py` and `push_space.py` are the commands."""
