"""The Space's entry point: `python app.py [--model PATH]` opens the page. Everything else is in `ddpm_space.ui`."""

import contextlib
import gc
import os

# An import makes hundreds of thousands of objects and no garbage: looking for some takes a seventh of its time. `main` switches it on again.
gc.disable()

# Read when huggingface_hub is imported, which `spaces` does.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

with contextlib.suppress(ImportError):
    # On ZeroGPU it has to come before torch; anywhere else there is none, or it does nothing.
    import spaces  # noqa: F401

from ddpm_space.ui.launch import main  # noqa: E402

if __name__ == "__main__":
    main()
