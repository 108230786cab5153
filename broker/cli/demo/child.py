"""A role of the demo in a process of its own: `python -m broker.cli.demo.child ID relay --follow`.

Law: it is the ordinary command; it ends when the demo that started it, the process of that
id, is gone, however that went.
"""

import os
import signal
import sys
import threading
import time

from broker.cli.main import main

_LOOK = 0.5


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_watch, args=(int(sys.argv.pop(1)),), daemon=True).start()
    main()
