"""The process between us and a command: it sees to it that the command and all its children end.

Started with two arguments, the number of a connected socket and the folder that holds this package. Over the socket
it gets one line of JSON (what to run), sends one line when the program is started and one when it has ended. When the
socket closes or anything arrives on it, the command must stop: TERM, a grace, then KILL to every descendant. The
socket closes also when the process that holds its other end is killed, so nothing survives that process. As a "child
subreaper" the warden inherits children that detach themselves, and finds them too.

It imports nothing of MosAIc and no third party: it starts in milliseconds and runs under ``python -I -S``.
"""
