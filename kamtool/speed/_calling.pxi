# Making a message without the ceremony of calling a class. See calling.py.

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        object (*tp_new)(PyTypeObject*, object, PyObject*)
        void* tp_vectorcall
    Py_ssize_t PyVectorcall_NARGS(size_t count)


cdef object called(object cls, PyObject** args, size_t flagged, PyObject* names):
    """What `type.__call__` does for a class that has no `__init__`."""
    cdef Py_ssize_t count = PyVectorcall_NARGS(flagged), at
    cdef tuple given
    if names == NULL and count == 2:
        given = (<object>args[0], <object>args[1])
        return (<PyTypeObject*>cls).tp_new(<PyTypeObject*>cls, given, NULL)
    given = tuple([<object>args[at] for at in range(count)])
    if names == NULL:
        return (<PyTypeObject*>cls).tp_new(<PyTypeObject*>cls, given, NULL)
    keywords = {name: <object>args[count + at] for at, name in enumerate(<tuple>names)}
    return type.__call__(cls, *given, **keywords)


def direct(cls):
    if not (isinstance(cls, type) and issubclass(cls, Index)) or cls.__init__ is not object.__init__:
        raise TypeError("a kind of Index without an __init__ is called directly")
    (<PyTypeObject*>cls).tp_vectorcall = <void*>called
    return cls
