"""Scripts that train, measure and publish; each module's docstring has its command."""

import os

# Read when datasets is imported, wherever that is first: without it, opening even a local file asks a server to count the use.
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
