"""Which model answers: `ModelSlot` loads one beside the page, `Models` gives the app's own one or the one that a visitor named."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddpm_space.models import LoadedModel
    from ddpm_space.ui.asked import Asked
    from ddpm_space.ui.visitor_models import VisitorModels


class ModelSlot:
    """Loads `source` once, in a thread; whoever needs the model waits for it.

    Args:
        source: "bundled:mnist", a folder, or a Hub id `user/repo[@revision]`.
        after: seconds for which the thread waits before it loads.
    """

    def __init__(self, source: str, *, after: float = 0.0) -> None:
        self.source = source
        self.after = after
        self._loading: Future[LoadedModel] = Future()
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Begin to load; does nothing the second time."""
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._load, name="load-model", daemon=True).start()

    def get(self, asked: Asked | None = None) -> LoadedModel:
        """Return the model, waiting for it if need be; a slot holds one, whatever is asked for.

        Raises:
            ModelError: it cannot be loaded; the same error every time.
        """
        self.start()
        return self._loading.result()

    def _load(self) -> None:
        time.sleep(self.after)
        try:
            # diffusers takes seconds to import, so it comes with the model and not with the page.
            from ddpm_space import models

            model = models.load(self.source)
            check_channels(model)
            self._loading.set_result(model)
        except Exception as error:
            self._loading.set_exception(error)


class Models(ModelSlot):
    """The models of a page: the app's own, the bundled ones, and those that visitors name, if they may.

    Args:
        own: what is meant where no model is named; named: by whom other names are looked up.
    """

    def __init__(self, own: ModelSlot, named: VisitorModels) -> None:
        super().__init__(own.source)
        self.own = own
        self.named = named

    def start(self) -> None:
        """Begin to load the app's own model."""
        self.own.start()

    def get(self, asked: Asked | None = None) -> LoadedModel:
        """Return the model that the entry `model` of a question names: "" or none for the app's own, "bundled:NAME", or a Hub id.

        Raises:
            ModelError, VisitorError: it cannot be had, or a visitor may not have it.
        """
        name = "" if asked is None else str(asked.values.get("model") or "")
        return self.own.get() if name in ("", self.source) else self.named.get(name)


def check_channels(model: LoadedModel) -> None:
    """Refuse what no screen shows. Raises ModelError."""
    from ddpm_space.models import ModelError

    if model.channels not in (1, 3):
        raise ModelError("error.model.channels", source=model.source, found=model.channels)


def shown_name(source: str) -> str:
    """What a model is called on the page: a visitor need not know where on the server a folder lies."""
    return Path(source).name if Path(source).is_dir() else source
