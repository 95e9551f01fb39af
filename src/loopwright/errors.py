"""Every error that loopwright raises on purpose. A user sees its one line and never a traceback.

LoopwrightError                exit 1
├── UsageError                 exit 2   the command, its arguments, the repository
│   ├── LoopFileError          exit 2   file, line, key, value, nearest valid key
│   └── NotAvailableYet        exit 2   valid, and not performed by this version
├── RunBusy                    exit 3   another process drives this run
├── JournalError               exit 7
│   ├── StaleWriter            exit 7   the head moved: somebody else wrote
│   ├── JournalCorrupt         exit 7
│   ├── JournalTooNew          exit 2
│   ├── BlobMissing            exit 7
│   └── BlobCorrupt            exit 7
├── IllegalTransition          exit 7   an event that the state's phase does not allow
├── WorkspaceError             exit 1   git or the file system said no
├── SandboxError               exit 7   the isolation that was asked for is not there
└── ActionError                exit 1   an action could not be performed; becomes `ActionFailed`
"""

__all__ = [
    "ActionError",
    "BlobCorrupt",
    "BlobMissing",
    "IllegalTransition",
    "JournalCorrupt",
    "JournalError",
    "JournalTooNew",
    "LoopFileError",
    "LoopwrightError",
    "NotAvailableYet",
    "RunBusy",
    "SandboxError",
    "StaleWriter",
    "UsageError",
    "WorkspaceError",
]


class LoopwrightError(Exception):
    """The message says subject, expected, found and next move in one line."""

    exit_code = 1


class UsageError(LoopwrightError):
    exit_code = 2


class LoopFileError(UsageError):
    pass


class NotAvailableYet(UsageError):
    pass


class RunBusy(LoopwrightError):
    exit_code = 3


class JournalError(LoopwrightError):
    exit_code = 7


class StaleWriter(JournalError):
    pass


class JournalCorrupt(JournalError):
    pass


class JournalTooNew(JournalError):
    exit_code = 2


class BlobMissing(JournalError):
    pass


class BlobCorrupt(JournalError):
    pass


class IllegalTransition(LoopwrightError):
    exit_code = 7


class WorkspaceError(LoopwrightError):
    pass


class SandboxError(LoopwrightError):
    exit_code = 7


class ActionError(LoopwrightError):
    """`signature` groups errors that are the same but for numbers, paths and addresses."""

    def __init__(self, message: str, *, signature: str | None = None, status: str = "error") -> None:
        super().__init__(message)
        self.signature = signature or message
        self.status = status
