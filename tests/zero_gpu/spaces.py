"""What the package `spaces` does on a ZeroGPU Space, in small: a decorated generator runs in a forked process, and what passes is pickled.

Read off spaces 0.51 (zero/wrappers.py). Stricter in one point: it refuses tensors, for each of which torch would keep a file open.
`DENIED` is the platform's refusal: (title, message) of the gr.Error that it raises. `ASKED` is what was asked for.
"""

import functools
import io
import multiprocessing
import os
import pickle
import sys

BEFORE = {name for name in ("torch", "gradio", "huggingface_hub") if name in sys.modules}
DENIED: list = [tuple(os.environ["STUB_DENIED"].split("|"))] if "STUB_DENIED" in os.environ else []
ASKED: list = []


class NoTensors(pickle.Pickler):
    def reducer_override(self, value):
        import torch

        if isinstance(value, torch.Tensor):
            raise pickle.PicklingError("a tensor on its way between processes")
        return NotImplemented


def dumps(value) -> bytes:
    buffer = io.BytesIO()
    NoTensors(buffer).dump(value)
    return buffer.getvalue()


def GPU(task, duration=None):
    import gradio as gr

    @functools.wraps(task)
    def handler(*arguments):
        from gradio.context import LocalContext

        ASKED.append((duration(*arguments), LocalContext.request.get(None)))
        if DENIED:
            title, message = DENIED[0]
            raise gr.Error(message, title=title, print_exception=False)
        question = dumps(arguments)  # what cannot be sent leaves no process behind that waits for it
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe()
        stop = context.Event()
        process = context.Process(target=work, args=(task, there, stop), daemon=True)
        process.start()
        there.close()
        here.send_bytes(question)
        try:
            while True:
                try:
                    kind, value = pickle.loads(here.recv_bytes())
                except EOFError:
                    raise gr.Error("GPU task aborted", title="ZeroGPU worker error", print_exception=False) from None
                if kind == "end":
                    return
                if kind == "error":
                    raise gr.Error(value, title="ZeroGPU worker error", print_exception=False)
                yield value
        except GeneratorExit:
            stop.set()
            raise
        finally:
            here.close()
            process.join()

    return handler


def work(task, pipe, stop):
    try:
        arguments = pickle.loads(pipe.recv_bytes())
        for value in task(*arguments):
            if stop.is_set():
                return
            pipe.send_bytes(dumps(("value", value)))
        pipe.send_bytes(dumps(("end", None)))
    except BrokenPipeError:
        pass
    except Exception as error:
        pipe.send_bytes(dumps(("error", type(error).__name__)))
