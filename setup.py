"""The kernel and the data of the wheel need this file; all else is declared in pyproject.toml.

The extensions are optional: without a compiler or Cython, the install goes on and the pure twin runs.
"""

import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

NAMES = ["_kernel", "_datagrams"] if sys.platform == "linux" else ["_kernel"]


def extensions() -> list[Extension]:
    """The kernel's modules, each free to fail."""
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = [
        Extension(
            f"kamtool.speed.{name}",
            [f"kamtool/speed/{name}.pyx"],
            extra_compile_args=["-O2"],
        )
        for name in NAMES
    ]
    built: list[Extension] = cythonize(
        modules, compiler_directives={"language_level": "3", "embedsignature": True}, quiet=True
    )
    for module in built:
        module.optional = True  # cythonize forgets it
    return built


class WithData(build_py):
    """A wheel carries the example scripts and the SQL, which a checkout has beside the package."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder in ("cfg", "db"):
            target = Path(self.build_lib, "kamtool", "data", folder)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(folder, target)


setup(ext_modules=extensions(), cmdclass={"build_py": WithData})
