import subprocess
import sys


def test_accounting_needs_no_torch() -> None:
    program = "import sys, explorer.accounting; print({'torch', 'zoo', 'streamlit'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
