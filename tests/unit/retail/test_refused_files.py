"""A file that cannot be used is refused before anything heavy is loaded."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, sys
from workers.retail.arguments import read_arguments
from workers.retail.demo import demo
code = asyncio.run(demo(read_arguments(["--data", sys.argv[1]])))
print(code, [name for name in ("temporalio", "sqlalchemy", "pydantic", "uno_workflows") if name in sys.modules])
"""


def test_a_refused_file_loads_neither_temporal_nor_sqlalchemy(tmp_path: Path) -> None:
    path = tmp_path / "month.csv"
    path.write_bytes(b"a,b,c\n1,2,3\n")
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
    assert "is not an Online Retail CSV" in done.stderr
    assert done.stdout == "2 []\n"
