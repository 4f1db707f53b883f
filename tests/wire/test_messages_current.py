import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pages_types_are_what_the_schema_says():
    script = ROOT / "js" / "tools" / "generate_messages.py"
    done = subprocess.run([sys.executable, script, "--check"], env={"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, "run python js/tools/generate_messages.py"
