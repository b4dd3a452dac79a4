# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml cannot say: the wheel gets its own copy of the Thrift IDL.

Everything else is in pyproject.toml. The file also serves tools that call
``python setup.py ...``; they need setuptools 77 or newer at hand.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

IDL = Path("thrift", "feature_flag_store.thrift")


class BuildWithIdl(build_py):
    """Build the packages, with the IDL beside the code that was generated from it.

    The checkout has one IDL, in ``thrift/``; an installed application finds it as
    ``flipper_thrift/feature_flag_store.thrift``.
    """

    def run(self) -> None:
        """Copy the packages, then the IDL."""
        super().run()
        if not self.editable_mode:
            self.copy_file(str(IDL), self._built_idl)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name every file that `run` makes."""
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, self._built_idl]

    def get_source_files(self) -> list[str]:
        """Name every file that `run` reads, which puts it into the sdist."""
        return [*super().get_source_files(), str(IDL)]

    @property
    def _built_idl(self) -> str:
        return str(Path(self.build_lib, "flipper_thrift", IDL.name))


setup(cmdclass={"build_py": BuildWithIdl})
