"""What the sanitizers print, in one line."""

import re

#: Exit status of a process that a sanitizer ended.
SANITIZED = 86

_MEMORY = re.compile(r"hard rss limit exhausted \((\d+)Mb")
_ADDRESS = re.compile(r"ERROR: (\w+Sanitizer:? .+?)(?: on (?:unknown )?(?:address|0x).*| \(.*)?$", re.MULTILINE)
_ACCESS = re.compile(r"^(READ|WRITE) of size \d+", re.MULTILINE)
_FRAME = re.compile(r"^ *#\d+ 0x\w+ in .+? /(?:[^:\n]*/)?([^/:\n]+):(\d+)", re.MULTILINE)
_UNDEFINED = re.compile(r"^(?:.*/)?([^/\n]+:\d+):\d+: runtime error: (.*)", re.MULTILINE)
_OURS = "host.c"


def report(printed: str) -> str:
    """A report's first line without addresses, the kind of access, and the contestant's line; "" without one."""
    undefined, address = _UNDEFINED.search(printed), _ADDRESS.search(printed)
    if undefined:
        return f"{re.sub(r' 0x[0-9a-f]+', '', undefined[2])}, {undefined[1]}"
    if address:
        stack = printed[address.end() :].split("\n\n")[0]
        access, lines = _ACCESS.search(stack), [match for match in _FRAME.finditer(stack) if match[1] != _OURS]
        words = [address[1], access[0] if access else "", f"{lines[0][1]}:{lines[0][2]}" if lines else ""]
        return ", ".join(word for word in words if word)
    memory = _MEMORY.search(printed)
    return f"it took more than {memory[1]} MB of memory" if memory else ""
