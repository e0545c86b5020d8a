"""`python -m checks STEP [SEED]`: one step of deploy/interop/run.sh."""

import sys

from .house import House


def main() -> None:
    """Runs the step that was asked for."""
    step, *rest = sys.argv[1:]
    house = House()
    # Each step imports what it needs: the generated code must be there first.
    if step == "setup":
        from .setup import run
    elif step == "signatures":
        from .signatures import run
    elif step == "catalogue":
        from .catalogue import run
    elif step == "refusals":
        from .refusals import run
    elif step == "certificates":
        from .certificates import run
    elif step == "encryption":
        from .encryption import run
    elif step == "audit":
        from .audit import run
    elif step == "trust":
        from .trust import run
    elif step == "token":
        from .token import run
    else:
        sys.exit(f"no such step: {step}")
    run(house, *rest)


if __name__ == "__main__":
    main()
