"""The compiled parts and the data of the wheel need this file; all else is declared in pyproject.toml.

The extensions are optional: without a compiler, Cython or mypyc, the install goes on and plain Python runs.
"""

import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

NAMES = ["_kernel", "_datagrams", "_volley", "_masking", "_tape"] if sys.platform == "linux" else ["_kernel"]


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


def compiled() -> list[Extension]:
    """The modules on the path of every message, as mypyc compiles them; [] when it cannot."""
    sys.path.insert(0, str(Path(__file__).parent))
    from kamtool.compiled import MODULES, path_of

    try:
        from mypyc.build import mypycify

        built: list[Extension] = mypycify(
            [
                "--config-file=",
                "--ignore-missing-imports",
                *(str(path_of(module).relative_to(Path.cwd())) for module in MODULES),
            ],
            opt_level="2",
            debug_level="0",
            group_name="kamtool",
        )
    except ImportError:
        return []
    except SystemExit as error:
        print(f"kamtool: not compiled, plain Python runs instead: {error}", file=sys.stderr)
        return []
    for module in built:
        module.optional = True
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


setup(ext_modules=[*extensions(), *compiled()], cmdclass={"build_py": WithData})
