# Of this process: one more than its parent's. What is running holds it, so a child sees whose thread it was.
cdef long generation
