"""What starts a run by itself: schedules, tickets, commits. Looking is cheap and costs no money; the kernel decides what fires."""
