# Running a coroutine to where it first waits. See stepping.py.

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    PySendResult PyIter_Send(object coroutine, object value, PyObject** result) except PYGEN_ERROR
    void Py_DECREF(object held)


def step(coroutine):
    cdef PyObject* given = NULL
    cdef PySendResult how = PyIter_Send(coroutine, None, &given)
    result = <object>given
    Py_DECREF(result)  # the reference that PyIter_Send gave
    return result if how == PYGEN_NEXT else _ENDED
