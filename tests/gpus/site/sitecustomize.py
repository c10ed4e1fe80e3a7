"""Lets CPU devices stand for GPUs in every process that has this folder on its PYTHONPATH.

``STAND_IN_GPUS`` says how many. What was read of the real libraries:

- TensorFlow (``tensorflow/python/eager/context.py``, 2.21): ``list_physical_devices`` and
  ``get_visible_devices`` know the devices before the runtime starts; ``list_logical_devices`` starts it
  (``ensure_initialized``). From then on ``set_memory_growth`` and ``set_visible_devices`` raise RuntimeError
  wherever they would change something, and before that ``set_memory_growth`` raises ValueError for a device
  that was divided. All of that code runs here as it is: the stand-ins are put into the tables that it looks
  at, and the CPU is divided into one logical device for itself and one for each of them.
- Keras takes cuDNN's LSTM wherever TensorFlow lists a GPU; a CPU has no such kernel, so it takes its own.
- JAX (``jax/_src/xla_bridge.py``, 0.10): ``local_devices`` starts the backends, and its devices have the
  platform "gpu" on CUDA. The CPU is divided by XLA's own flag.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace
from typing import Any

COUNT = int(os.environ.get("STAND_IN_GPUS", "0"))
NAME = "stand-in"


def _tensorflow(context: Any) -> None:
    initialize = context.Context._initialize_physical_devices
    list_logical_devices = context.Context.list_logical_devices
    get_device_details = context.Context.get_device_details

    def with_stand_ins(self: Any, reinitialize: bool = False) -> None:
        is_first = reinitialize or self._physical_devices is None
        initialize(self, reinitialize)
        if is_first:
            (cpu,) = self._physical_devices
            gpus = [context.PhysicalDevice(f"/physical_device:GPU:{n}", "GPU") for n in range(COUNT)]
            self._physical_devices += gpus
            self._physical_device_to_index = {each: n for n, each in enumerate(self._physical_devices)}
            self._visible_device_list += gpus
            self._memory_growth_map |= dict.fromkeys(gpus)
            parts = [context.LogicalDeviceConfiguration() for _ in range(COUNT + 1)]
            self.set_logical_device_configuration(cpu, parts)

    def listed(self: Any, device_type: str | None = None) -> list[Any]:
        cpu, *others = list_logical_devices(self)
        visible = {int(each.name.rpartition(":")[2]) for each in self.get_visible_devices("GPU")}
        gpus = [context.LogicalDevice(each.name, "GPU") for n, each in enumerate(others) if n in visible]
        return [each for each in (cpu, *gpus) if device_type in (None, each.device_type)]

    def details(self: Any, device: Any) -> Any:
        return {"device_name": NAME} if device.device_type == "GPU" else get_device_details(self, device)

    context.Context._initialize_physical_devices = with_stand_ins
    context.Context.list_logical_devices = listed
    context.Context.get_device_details = details


def _keras(rnn: Any) -> None:
    rnn._is_gpu_available = lambda: False


def _jax(jax: Any) -> None:
    local_devices = jax.local_devices

    def listed(process_index: int | None = None, backend: str | None = None) -> list[Any]:
        found: list[Any] = local_devices(process_index, backend)
        if backend is not None:  # As Keras asks for the CPU.
            return found
        return [SimpleNamespace(id=each.id, platform="gpu", device_kind=NAME) for each in found]

    jax.local_devices = listed


_CHANGES: dict[str, Callable[[Any], None]] = {
    "tensorflow.python.eager.context": _tensorflow,
    "keras.src.backend.tensorflow.rnn": _keras,
    "jax": _jax,
}


class _After:
    """Finds a module as Python does, and changes it once it is there."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _CHANGES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            _CHANGES[name](module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


if COUNT:
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={COUNT}"
    sys.meta_path.insert(0, _After)
