# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=True
"""The projection kernel: a program run on the Avro bytes of a record.

Law: it is equal to the reference, by test. One walk finds where every field stands and checks all
of it: nothing is read beyond the end, and what is not exactly canonical is refused with the field's
name before anything is released. Then one emission a share, from those places alone. What an
operation is not sure of (a rare character, a year before time zones settled) is left to the
reference's own mask. A call has its own buffers: threads share nothing that is written.
"""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from broker.errors import ProjectionError, RoutingError

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

VERSION = 1
"""As in `program`: another one is refused."""

cdef extern from "string.h":
    void *memmem(const void *, size_t, const void *, size_t) nogil

# Types and operations, as in `program`.
cdef enum:
    BOOLEAN, INT, LONG, FLOAT, DOUBLE, STRING, BYTES, DATE, MILLIS, MICROS, DECIMAL

cdef enum:
    NULL_, KEEP, PSEUDONYM, ENDS, SURNAME, BAND, ADDRESS, DIVISION, DAY, MONTH, YEAR, DECADE, OTHER

cdef enum:
    WHOLE, BIRTH, NUMBER  # by what of its value a record is judged

cdef enum:
    FOUND = -1
    HIDDEN = 4  # characters that ENDS must hide at least, as in `masks`
    ROUTES = 65536  # how much a memo holds before it is emptied
    REMEMBERED = 256  # bytes of what rules read that are remembered with their verdict

cdef int64_t FIRST_DAY = -719162, LAST_DAY = 2932896  # of years 1 to 9999
cdef int64_t MILLIS_A_DAY = 86400000
cdef int64_t SETTLED = 694224000000  # 1992: from here on the city's zone is eight hours ahead
cdef int64_t AHEAD = 28800000


cdef struct Field:
    int type
    int null
    int64_t limit  # of a decimal: ten to its precision


cdef struct Step:
    int source
    int op
    int first
    int last
    int other  # where its Python parts stand


cdef struct Row:
    int field
    int by


cdef struct Span:
    const uint8_t *start  # with the branch of the union
    const uint8_t *value  # without it; of text and bytes with their length
    const uint8_t *text  # of text and bytes: without their length
    Py_ssize_t size  # of all, from start
    Py_ssize_t length  # of the text
    int64_t number
    bint null


cdef struct Out:
    uint8_t *data
    Py_ssize_t size
    Py_ssize_t room


cdef class Keyed:
    """HMAC-SHA256 under one secret, kept as it stands once the secret is in it: a copy costs a
    third of beginning anew."""

    cdef object _begun

    def __init__(self, bytes secret):
        self._begun = HMAC(secret, SHA256()).copy

    cpdef bytes of(self, bytes data):
        """The first 16 bytes, as `pseudonym.keyed_hash` gives them."""
        begun = self._begun()
        begun.update(data)
        cdef bytes digest = begun.finalize()
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(digest), 16)


cdef class Kernel:
    """The kernel of one program (see `program.Program`)."""

    cdef Field *_fields
    cdef int _count
    cdef int _scope
    cdef Step *_steps
    cdef int *_starts
    cdef Row *_row
    cdef int _row_count
    cdef int _templates
    cdef int64_t *_bands  # lower bounds of each decimal's bands: field by field
    cdef int _band_count
    cdef list _names
    cdef list _heads
    cdef list _others
    cdef list _texts
    cdef list _keyed
    cdef list _band_words
    cdef frozenset _compounds
    cdef object _place
    cdef object _digits
    cdef dict _places
    cdef dict _known_digits

    def __dealloc__(self):
        free(self._fields)
        free(self._steps)
        free(self._starts)
        free(self._bands)
        free(self._row)

    def __cinit__(self, program, int version):
        """`ValueError` where the program is of another version, or a number in it cannot be. Once:
        a kernel that is begun again would read its buffers by another program."""
        if version != VERSION:
            raise ValueError("the kernel was built for another version")
        fields = list(program.fields)
        self._count = len(fields)
        self._scope = program.scope
        templates = list(program.templates)
        self._names = [one.name for one in fields]
        self._templates = len(templates)
        self._heads = [one.head for one in templates]
        if not all([type(one) is bytes for one in self._heads]):
            raise TypeError("a head is no bytes")
        self._others, self._texts, self._keyed = [], [], []
        self._compounds = frozenset(one.encode() for one in program.compounds)
        self._place, self._digits = program.place, program.digits
        self._places, self._known_digits = {}, {}
        self._learn_fields(fields)
        self._learn_bands(fields, list(program.bands))
        self._learn_steps([list(one.steps) for one in templates])
        self._learn_row(list(program.row))

    cdef _learn_fields(self, list fields):
        cdef int kind, null
        self._fields = <Field *>malloc(max(self._count, 1) * sizeof(Field))
        if self._fields == NULL:
            raise MemoryError()
        if not -1 <= self._scope < self._count:
            raise ValueError("the division is no field")
        for number, one in enumerate(fields):
            kind, null = one.type, one.null
            if not 0 <= kind <= DECIMAL or not -1 <= null <= 1:
                raise ValueError("a field is of no known type")
            self._fields[number] = Field(kind, null, 0)
            if kind != DECIMAL:
                continue
            precision, scale = one.precision, one.scale
            if not 0 < precision <= 18 or not 0 <= scale <= precision:
                raise ValueError("a decimal has more digits than a number, or none")
            self._fields[number].limit = 10 ** precision

    cdef _learn_bands(self, list fields, list bounds):
        self._band_count = len(bounds)
        pairs = list(zip(bounds, bounds[1:]))
        if not bounds or not all([type(one) is int and one >= 0 for one in bounds]):
            raise ValueError("bands begin with whole numbers from zero")
        if not all([low < high for low, high in pairs]):
            raise ValueError("bands rise")
        self._band_words = [f"{low}-{high}".encode() for low, high in pairs]
        self._band_words.append(f"{bounds[len(bounds) - 1]}-".encode())
        self._bands = <int64_t *>malloc(max(self._count, 1) * self._band_count * sizeof(int64_t))
        if self._bands == NULL:
            raise MemoryError()
        for number, one in enumerate(fields):
            for at, bound in enumerate(bounds):
                scaled = bound * 10 ** one.scale if one.type == DECIMAL else 0
                # beyond what the decimal can be it is never reached
                self._bands[number * self._band_count + at] = min(scaled, 10 ** 18)

    cdef _learn_steps(self, list templates):
        cdef list steps
        cdef int source, op, first, last
        total = sum([len(steps) for steps in templates])
        self._steps = <Step *>malloc(max(total, 1) * sizeof(Step))
        self._starts = <int *>malloc((self._templates + 1) * sizeof(int))
        if self._steps == NULL or self._starts == NULL:
            raise MemoryError()
        at = 0
        for number, steps in enumerate(templates):
            self._starts[number] = at
            for one in steps:
                source, op, first, last = one.source, one.op, one.first, one.last
                if not -1 <= source < self._count or not 0 <= op <= OTHER:
                    raise ValueError("a step has no field or no operation")
                if (source < 0) != (op == NULL_) or first < 0 or last < 0:
                    raise ValueError("a step's numbers cannot be")
                self._check_op(source, op, one)
                self._steps[at] = Step(source, op, first, last, at)
                self._others.append(one.other)
                self._texts.append(one.text.encode())
                self._keyed.append(Keyed(one.pseudonyms.secret) if op == PSEUDONYM else None)
                at += 1
        self._starts[self._templates] = at

    cdef _learn_row(self, list row):
        cdef int field, by
        self._row_count = len(row)
        self._row = <Row *>malloc(max(self._row_count, 1) * sizeof(Row))
        if self._row == NULL:
            raise MemoryError()
        for number, (field, by) in enumerate(row):
            if not 0 <= field < self._count or not 0 <= by <= NUMBER:
                raise ValueError("a row is judged by no field")
            kind = self._fields[field].type
            if (by == BIRTH and kind != DATE) or (by == NUMBER and kind != STRING):
                raise ValueError("a row is judged by what its field does not have")
            self._row[number] = Row(field, by)

    cdef _check_op(self, int source, int op, one):
        """An operation reads what its field's type has, and leaves the rest to a reference."""
        if op == NULL_:
            return
        if not callable(one.other) or (op == PSEUDONYM and one.pseudonyms is None):
            raise ValueError("a step lacks its reference or its secret")
        if op == KEEP or op == OTHER:
            return
        kind = self._fields[source].type
        if op in (PSEUDONYM, ENDS, SURNAME, ADDRESS, DIVISION):
            fits = kind == STRING
        elif op == BAND:
            fits = kind == DECIMAL
        else:
            fits = kind in (DATE, MILLIS, MICROS)
        if not fits:
            raise ValueError("an operation does not fit its field's type")

    def damaged(self, bytes body not None):
        """The name of the first field that is not canonical; empty where only something is left
        over, None where nothing is wrong."""
        cdef Span *spans = self._spans()
        try:
            bad = self._walk(body, spans)
        finally:
            free(spans)
        if bad == FOUND:
            return None
        return self._names[bad] if bad < self._count else ""

    def project(self, bytes body not None, Choices choices not None):
        """What is chosen for the record (see `Choices`), and for each of its templates the Avro
        body that a share gets; None where an item of it cannot be shown. None for all where the
        record is not canonical."""
        cdef Span *spans = self._spans()
        cdef Out out
        cdef int template
        out.data, out.size, out.room = NULL, 0, 0
        try:
            if self._walk(body, spans) != FOUND:
                return None
            division = self._place_of(spans)
            chosen = self._choose(spans, division, choices, &out)
            found = []
            for template in chosen.templates:
                if not 0 <= template < self._templates:
                    raise ValueError("there is no such template")
                found.append(self._emit(template, spans, division, &out))
            return chosen, found
        finally:
            free(out.data)
            free(spans)

    @cython.boundscheck(True)
    @cython.nonecheck(True)
    def land(
        self,
        list keys not None,
        list bodies not None,
        Choices choices not None,
        dict held not None,
        frozenset nobody,
        list outputs not None,
        list hashes not None,
        dict moved not None,
    ):
        """A batch of records, by their collected keys: what each share gets of them is put into
        its `outputs` (its own keys, and values or None), and into `moved` who holds a key, where
        that is no longer as in `held`. (The numbers of the records that are left to the reference,
        how many tombstones there are.) Of those that are left nothing was put anywhere.
        """
        cdef Span *spans
        cdef Out out
        cdef Py_ssize_t n
        cdef Py_ssize_t gone = 0
        cdef list left = []
        cdef list begun
        cdef list values
        cdef bytes key, body
        out.data, out.size, out.room = NULL, 0, 0
        if len(keys) != len(bodies) or len(outputs) != len(hashes):
            raise ValueError("what belongs together is of two lengths")
        begun = [len(<list?>(<tuple?>output)[0]) for output in outputs]
        spans = self._spans()
        try:
            for n in range(len(keys)):
                body = bodies[n]
                if body is None:
                    raise TypeError("a record is no bytes")
                if self._walk(body, spans) != FOUND:
                    left.append(n)
                    continue
                division = self._place_of(spans)
                try:
                    chosen = self._choose(spans, division, choices, &out)
                except RoutingError:
                    left.append(n)
                    continue
                values = self._values(chosen.templates, spans, division, &out)
                if values is None:
                    left.append(n)
                    continue
                key = keys[n]
                before = held.get(key, nobody)
                change = chosen.changes.get(before)
                if change is None:
                    change = tuple(chosen.change(before))
                    choices.grow(1 + len(change[0]))
                    _remember(chosen.changes, before, change)
                writes, ended, after = <tuple?>change
                for slot, place in <tuple?>writes:
                    share_keys, share_values = <tuple?>outputs[slot]
                    (<list?>share_keys).append(key)
                    (<list?>share_values).append(values[place])
                for slot in <tuple?>ended:
                    share_keys, share_values = <tuple?>outputs[slot]
                    (<list?>share_keys).append(key)
                    (<list?>share_values).append(None)
                    gone += 1
                if after is not before and after != before:
                    moved[key] = after
            # share by share, as each has its own secret: so its state stays at hand
            for place in range(len(outputs)):
                share_keys = (<tuple?>outputs[place])[0]
                for n in range(<Py_ssize_t>begun[place], len(<list?>share_keys)):
                    (<list>share_keys)[n] = (<Keyed?>hashes[place]).of(<bytes?>(<list>share_keys)[n])
            return left, gone
        finally:
            free(out.data)
            free(spans)

    cdef list _values(self, templates, Span *spans, object division, Out *out):
        """What these templates make of the record; None where one of them cannot show it."""
        cdef list found = []
        cdef int template
        for template in templates:
            if not 0 <= template < self._templates:
                raise ValueError("there is no such template")
            value = self._emit(template, spans, division, out)
            if value is None:
                return None
            found.append(value)
        return found

    cdef object _place_of(self, Span *spans):
        """The record's division as it stands there; None where it has none."""
        if self._scope < 0 or spans[self._scope].null:
            return None
        return spans[self._scope].text[: spans[self._scope].length]

    cdef _choose(self, Span *spans, object division, Choices choices, Out *key):
        cdef int n
        reached = choices.reached.get(division)
        if reached is None:
            reached = choices.reach(None if division is None else division.decode())
            _remember(choices.reached, division, reached)
        key.size = 0
        for n in range(self._row_count):
            _judged_by(&self._row[n], &spans[self._row[n].field], key)
        told = verdict = None
        if key.size <= REMEMBERED:
            told = PyBytes_FromStringAndSize(<char *>key.data, key.size)
            verdict = choices.verdicts.get(told)
        if verdict is None:
            verdict = choices.numbered(choices.judge([
                None if spans[self._row[n].field].null else _raw(&spans[self._row[n].field])
                for n in range(self._row_count)
            ]))
            if told is not None:
                _remember(choices.verdicts, told, verdict)
        number, judged = <tuple?>verdict
        chosen = (<dict>reached).get(number)
        if chosen is None:
            choices.grow(1)
            chosen = reached[number] = choices.choose(reached, judged)
        return chosen

    cdef Span *_spans(self) except NULL:
        cdef Span *spans = <Span *>malloc(max(self._count, 1) * sizeof(Span))
        if spans == NULL:
            raise MemoryError()
        return spans

    # ---- the walk

    cdef int _walk(self, bytes body, Span *spans) noexcept:
        """FOUND, or the number of the first field that is not canonical; the count of fields
        where something is left over."""
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(body)
        cdef const uint8_t *end = at + PyBytes_GET_SIZE(body)
        cdef int number
        for number in range(self._count):
            at = _field(&self._fields[number], &spans[number], at, end)
            if at == NULL:
                return number
        return FOUND if at == end else self._count

    # ---- the emission

    cdef _emit(self, int template, Span *spans, object division, Out *out):
        cdef int at
        cdef Step *step
        cdef Span *span
        cdef int done
        cdef const uint8_t *run = NULL
        cdef const uint8_t *run_end = NULL
        cdef bytes head = self._heads[template]
        out.size = 0
        _put(out, <const uint8_t *>PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        for at in range(self._starts[template], self._starts[template + 1]):
            step = &self._steps[at]
            if step.source >= 0:
                span = &spans[step.source]
                if step.op == KEEP and self._fields[step.source].null == 0:
                    # fields kept one after the other are copied in one piece
                    if run_end != span.start:
                        _put(out, run, run_end - run)
                        run = span.start
                    run_end = span.start + span.size
                    continue
            if run != run_end:
                _put(out, run, run_end - run)
                run = run_end = NULL
            if step.source < 0 or span.null:
                _byte(out, 0)
                continue
            done = self._apply(step, span, division, out)
            if done == 0 and not self._ask(step, span, division, out):
                return None
        if run != run_end:
            _put(out, run, run_end - run)
        return PyBytes_FromStringAndSize(<char *>out.data, out.size)

    cdef int _apply(self, Step *step, Span *span, object division, Out *out) except -1:
        """1 where the field is written, 0 where the reference is to be asked."""
        if step.op == KEEP:
            _byte(out, 2)
            _put(out, span.value, span.size - (span.value - span.start))
            return 1
        if step.op == PSEUDONYM:
            return self._pseudonym(step, span, out)
        if step.op == ENDS:
            return self._ends(step, span, out)
        if step.op == SURNAME:
            return self._surname(span, out)
        if step.op == BAND:
            return self._band(step, span, out)
        if step.op == DIVISION:
            return self._division(step, span, division, out)
        if step.op == ADDRESS:
            return self._address(step, span, division, out)
        if step.op >= DAY and step.op <= DECADE:
            return _moment(self._fields[step.source].type, step.op, span.number, out)
        return 0

    cdef bint _ask(self, Step *step, Span *span, object division, Out *out) except -1:
        """What the kernel has no answer to itself; whether it can be shown at all."""
        cdef bytes shown
        try:
            code = None if division is None else division.decode()
            shown = self._others[step.other](_raw(span), code)
        except ProjectionError:
            return False
        if shown is None:
            raise TypeError("a field is no bytes")
        _put(out, <const uint8_t *>PyBytes_AS_STRING(shown), PyBytes_GET_SIZE(shown))
        return True

    cdef int _pseudonym(self, Step *step, Span *span, Out *out) except -1:
        cdef bytes digest = (<Keyed>self._keyed[step.other]).of(span.text[: span.length])
        _byte(out, 2)
        _byte(out, 52)
        _base32(out, <const uint8_t *>PyBytes_AS_STRING(digest))
        return 1

    cdef int _ends(self, Step *step, Span *span, Out *out) except -1:
        cdef Py_ssize_t count = _visible(span.text, span.length)
        cdef const uint8_t *end = span.text + span.length
        cdef const uint8_t *first = span.text
        cdef const uint8_t *last = end
        cdef bytes stars = self._texts[step.other]
        cdef Py_ssize_t width = PyBytes_GET_SIZE(stars)
        cdef int n
        if count < 0:
            return 0
        if count < <Py_ssize_t>step.first + step.last + HIDDEN:
            _byte(out, 0)
            return 1
        for n in range(step.first):
            first += _width(first[0])
        for n in range(step.last):
            last -= 1
            while last[0] & 0xC0 == 0x80:
                last -= 1
        if last - first == width and memcmp(first, PyBytes_AS_STRING(stars), width) == 0:
            _byte(out, 0)  # it would be shown as it is
            return 1
        _byte(out, 2)
        _number(out, (first - span.text) + width + (end - last))
        _put(out, span.text, first - span.text)
        _put(out, <const uint8_t *>PyBytes_AS_STRING(stars), width)
        _put(out, last, end - last)
        return 1

    cdef int _surname(self, Span *span, Out *out) except -1:
        cdef Py_ssize_t count = _visible(span.text, span.length)
        cdef Py_ssize_t shown
        if count < 0:
            return 0
        if count < 2:
            _byte(out, 0)
            return 1
        shown = _width(span.text[0])
        if count > 2 and shown == 3 and span.text[3] >= 0xE0:
            if span.text[:6] in self._compounds:
                shown = 6
        if span.length == shown + 2 and memcmp(span.text + shown, b"**", 2) == 0:
            _byte(out, 0)
            return 1
        _byte(out, 2)
        _number(out, shown + 2)
        _put(out, span.text, shown)
        _put(out, <const uint8_t *>b"**", 2)
        return 1

    cdef int _band(self, Step *step, Span *span, Out *out) except -1:
        cdef int64_t *bounds = self._bands + step.source * self._band_count
        cdef int at = 0
        cdef bytes word
        if span.number < 0:
            _byte(out, 0)
            return 1
        while at < self._band_count and span.number >= bounds[at]:
            at += 1
        if at == 0:
            _byte(out, 0)
            return 1
        word = self._band_words[at - 1]
        _text(out, word)
        return 1

    cdef int _division(self, Step *step, Span *span, object own, Out *out) except -1:
        cdef bytes code = own if step.source == self._scope else span.text[: span.length]
        digits = self._known_digits.get(code)
        if digits is None:
            digits = self._digits(code.decode())
            if PyBytes_GET_SIZE(code) <= REMEMBERED:
                _remember(self._known_digits, code, digits)
        if digits < step.first or span.length < step.first:
            _byte(out, 0)
            return 1
        _byte(out, 2)
        _number(out, step.first)
        _put(out, span.text, step.first)
        return 1

    cdef int _address(self, Step *step, Span *span, object division, Out *out) except -1:
        cdef bytes county, both, wide, whole, shown
        place = None
        if division is not None:
            place = self._places.get(division, False)
            if place is False:
                place = self._place(division.decode())
                if place is not None:
                    place = tuple([one.encode() for one in place])
                _remember(self._places, division, place)
        if place is None:
            _byte(out, 0)
            return 1
        county, both, wide, whole = place
        if (step.first and not both) or not _holds(span, county):
            _byte(out, 0)
            return 1
        shown = whole if step.first and _holds(span, both) else wide
        if (
            PyBytes_GET_SIZE(shown) == span.length
            and memcmp(PyBytes_AS_STRING(shown), span.text, span.length) == 0
        ):
            _byte(out, 0)
            return 1
        _text(out, shown)
        return 1


cdef class Choices:
    """What becomes of a record, found once for each division and for each way in which its rows
    can be judged: `reach` names the shares of a division (any mapping, which is filled), `judge`
    the verdict on the values that rules read, `choose` what follows from both: something with
    `templates`. Of what was chosen, and of what that changes for the holders of a key, share by
    share, no more than `most` is kept."""

    cdef readonly dict reached
    cdef readonly dict verdicts
    cdef readonly dict known
    cdef int64_t given
    cdef int64_t held
    cdef int64_t most
    cdef readonly object reach
    cdef readonly object judge
    cdef readonly object choose

    def __init__(self, reach, judge, choose, int64_t most=ROUTES):
        self.reached, self.verdicts, self.known, self.given = {}, {}, {}, 0
        self.reach, self.judge, self.choose = reach, judge, choose
        self.held, self.most = 0, most

    cdef numbered(self, judged):
        """A verdict with its number, which is quicker found than it is, and given once."""
        verdict = self.known.get(judged)
        if verdict is None:
            if len(self.known) >= ROUTES:
                self.forget()
            self.given += 1
            verdict = self.known[judged] = (self.given, judged)
        return verdict

    cdef grow(self, int64_t by):
        """There will be so much more."""
        self.held += by
        if self.held > self.most:
            self.forget()

    cdef forget(self):
        """Begin anew; what is in use goes on being used."""
        self.held = 0
        self.reached.clear()
        self.verdicts.clear()
        self.known.clear()


cdef _raw(Span *span):
    """The Avro bytes of a value that is not null."""
    return span.value[: span.size - (span.value - span.start)]


cdef int _judged_by(Row *row, Span *span, Out *key) except -1:
    """As much of a value as rules can tell apart; what ends by itself, so that two of them after
    each other are not taken for others."""
    cdef int64_t year, month
    if span.null:
        return _byte(key, 0)
    if row.by == BIRTH:
        _civil(span.number, &year, &month)
        _byte(key, 1)
        return _number(key, year)
    if row.by == NUMBER and _ascii(span):
        if span.length != 18 or not _decimal_digits(span.text + 6, 4):
            return _byte(key, 2)
        _byte(key, 3)
        return _put(key, span.text + 6, 4)
    _byte(key, 4)
    return _put(key, span.value, span.size - (span.value - span.start))


cdef bint _ascii(Span *span) noexcept:
    cdef Py_ssize_t n
    for n in range(span.length):
        if span.text[n] >= 0x80:
            return False
    return True


cdef bint _decimal_digits(const uint8_t *at, int count) noexcept:
    cdef int n
    for n in range(count):
        if not 48 <= at[n] <= 57:
            return False
    return True


cdef _remember(dict memo, key, value):
    if len(memo) >= ROUTES:
        memo.clear()
    memo[key] = value


cdef bint _holds(Span *span, bytes part):
    return memmem(span.text, span.length, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part)) != NULL


# ---- reading

cdef const uint8_t *_field(Field *field, Span *span, const uint8_t *at, const uint8_t *end) noexcept:
    """Behind the field, its span filled in; NULL where it is not canonical."""
    span.start = at
    span.null = False
    span.text = NULL
    span.length = 0
    span.number = 0
    if field.null >= 0:
        if at == end or (at[0] != 0 and at[0] != 2):
            return NULL
        span.null = (at[0] == 0) == (field.null == 0)
        at += 1
    span.value = at
    if not span.null:
        at = _value(field, span, at, end)
        if at == NULL:
            return NULL
    span.size = at - span.start
    return at


cdef const uint8_t *_value(Field *field, Span *span, const uint8_t *at, const uint8_t *end) noexcept:
    cdef uint64_t number = 0
    if field.type == BOOLEAN:
        return at + 1 if at != end and at[0] <= 1 else NULL
    if field.type == FLOAT:
        return at + 4 if end - at >= 4 and not _signals(at) else NULL
    if field.type == DOUBLE:
        return at + 8 if end - at >= 8 else NULL
    at = _varint(at, end, &number)
    if at == NULL:
        return NULL
    span.number = <int64_t>(number >> 1) ^ -<int64_t>(number & 1)
    if field.type == LONG:
        return at
    if field.type == INT:
        return at if -2147483648 <= span.number <= 2147483647 else NULL
    if field.type == DATE:
        return at if FIRST_DAY <= span.number <= LAST_DAY else NULL
    if field.type == MILLIS:
        return at if _in_years(span.number, MILLIS_A_DAY) else NULL
    if field.type == MICROS:
        return at if _in_years(span.number, MILLIS_A_DAY * 1000) else NULL
    if span.number < 0 or span.number > end - at:
        return NULL
    span.text = at
    span.length = span.number
    at += span.length
    if field.type == STRING:
        return at if _utf8(span.text, at) else NULL
    if field.type == DECIMAL:
        return at if _decimal(span, field.limit) else NULL
    return at


cdef const uint8_t *_varint(const uint8_t *at, const uint8_t *end, uint64_t *number) noexcept:
    """A number in its shortest form, of 64 bits at most."""
    cdef uint64_t found = 0
    cdef int shift = 0
    cdef uint8_t one
    while at != end and shift < 64:
        one = at[0]
        at += 1
        if shift == 63 and one > 1:
            return NULL
        found |= <uint64_t>(one & 0x7F) << shift
        if one < 0x80:
            if one == 0 and shift > 0:
                return NULL
            number[0] = found
            return at
        shift += 7
    return NULL


cdef bint _in_years(int64_t number, int64_t a_day) noexcept:
    return FIRST_DAY * a_day <= number < (LAST_DAY + 1) * a_day


cdef bint _signals(const uint8_t *at) noexcept:
    """Whether a float is a signalling NaN, which does not survive being read."""
    cdef bint nan = (at[3] & 0x7F) == 0x7F and (at[2] & 0x80) != 0
    return nan and (at[2] & 0x40) == 0 and ((at[2] & 0x3F) | at[1] | at[0]) != 0


cdef bint _decimal(Span *span, int64_t limit) noexcept:
    """Reads a decimal into the span's number; whether it has the length that it must have."""
    cdef uint64_t found, size
    cdef Py_ssize_t n, bits = 0
    if not 0 < span.length <= 8:
        return False
    found = <uint64_t>-1 if span.text[0] & 0x80 else 0
    for n in range(span.length):
        found = found << 8 | span.text[n]
    span.number = <int64_t>found
    size = found if span.number >= 0 else 0 - found
    if size >= <uint64_t>limit:
        return False
    while size >> bits:
        bits += 1
    return span.length == (bits + 8) // 8


cdef bint _utf8(const uint8_t *at, const uint8_t *end) noexcept:
    """Whether it is text in UTF-8 (Unicode, table 3-7: no surrogate, nothing overlong)."""
    cdef uint8_t one, low, high
    cdef int more
    while at != end:
        one = at[0]
        at += 1
        if one < 0x80:
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= one <= 0xDF:
            more = 1
        elif 0xE0 <= one <= 0xEF:
            more = 2
            if one == 0xE0:
                low = 0xA0
            elif one == 0xED:
                high = 0x9F
        elif 0xF0 <= one <= 0xF4:
            more = 3
            if one == 0xF0:
                low = 0x90
            elif one == 0xF4:
                high = 0x8F
        else:
            return False
        if end - at < more or not low <= at[0] <= high:
            return False
        at += 1
        while more > 1:
            if at[0] & 0xC0 != 0x80:
                return False
            at += 1
            more -= 1
    return True


cdef Py_ssize_t _visible(const uint8_t *at, Py_ssize_t length) noexcept:
    """How many characters, where each is one that a reader surely sees: ASCII without space and
    controls, and the Han characters that every version of Unicode in use has (U+4E00 to U+9FEF).
    -1 where another one is among them."""
    cdef const uint8_t *end = at + length
    cdef Py_ssize_t count = 0
    while at != end:
        if 0x21 <= at[0] <= 0x7E:
            at += 1
        elif 0xE5 <= at[0] <= 0xE8:
            at += 3
        elif at[0] == 0xE4 and at[1] >= 0xB8:
            at += 3
        elif at[0] == 0xE9 and (at[1] < 0xBF or (at[1] == 0xBF and at[2] <= 0xAF)):
            at += 3
        else:
            return -1
        count += 1
    return count


cdef int _width(uint8_t first) noexcept:
    """Bytes of a character that is seen surely."""
    return 1 if first < 0x80 else 3


# ---- moments

cdef int _moment(int kind, int op, int64_t number, Out *out) except -1:
    """A day, month, year or decade in the city's zone; 0 where the zone had another offset."""
    cdef int64_t day, year, month, rest
    cdef char word[8]
    if kind == DATE:
        day = number
    else:
        if kind == MICROS:
            number = _floor(number, 1000)
        if number < SETTLED or number >= LAST_DAY * MILLIS_A_DAY:
            return 0
        day = (number + AHEAD) // MILLIS_A_DAY
    _byte(out, 2)
    if op == DAY:
        _number(out, day)
        return 1
    _civil(day, &year, &month)
    if op == YEAR:
        _number(out, year)
    elif op == DECADE:
        _number(out, year // 10 * 10)
    else:
        _number(out, 7)
        word[0], word[1] = 48 + year // 1000, 48 + year // 100 % 10
        word[2], word[3], word[4] = 48 + year // 10 % 10, 48 + year % 10, 45
        word[5], word[6] = 48 + month // 10, 48 + month % 10
        _put(out, <uint8_t *>word, 7)
    return 1


cdef int64_t _floor(int64_t number, int64_t by) noexcept:
    return number // by - (number % by < 0)


cdef void _civil(int64_t day, int64_t *year, int64_t *month) noexcept:
    """Year and month of a day since 1970. Counted in years that begin with March, so that a leap
    day is the last of its year; from the beginning of year 0, so that nothing is negative."""
    cdef int64_t since = day + 719468, era, within, years, of_year, moved
    era = since // 146097
    within = since % 146097
    years = (within - within // 1460 + within // 36524 - within // 146096) // 365
    of_year = within - (365 * years + years // 4 - years // 100)
    moved = (5 * of_year + 2) // 153
    month[0] = moved + 3 if moved < 10 else moved - 9
    year[0] = years + era * 400 + (month[0] <= 2)


# ---- writing

cdef inline int _room(Out *out, Py_ssize_t more) except -1:
    cdef Py_ssize_t wanted = out.size + more
    cdef uint8_t *data
    if wanted > out.room:
        wanted += wanted // 2 + 256
        data = <uint8_t *>realloc(out.data, wanted)
        if data == NULL:
            raise MemoryError()
        out.data, out.room = data, wanted
    return 0


cdef inline int _put(Out *out, const uint8_t *data, Py_ssize_t size) except -1:
    _room(out, size)
    if size > 0:
        memcpy(out.data + out.size, data, size)
        out.size += size
    return 0


cdef inline int _byte(Out *out, uint8_t one) except -1:
    _room(out, 1)
    out.data[out.size] = one
    out.size += 1
    return 0


cdef inline int _number(Out *out, int64_t number) except -1:
    cdef uint64_t left = (<uint64_t>number << 1) ^ <uint64_t>(number >> 63)
    while left > 0x7F:
        _byte(out, <uint8_t>(left & 0x7F) | 0x80)
        left >>= 7
    return _byte(out, <uint8_t>left)


cdef int _text(Out *out, bytes text) except -1:
    """A text that is there."""
    _byte(out, 2)
    _number(out, PyBytes_GET_SIZE(text))
    return _put(out, <const uint8_t *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef int _base32(Out *out, const uint8_t *digest) except -1:
    """26 characters of the first 16 bytes (RFC 4648, in lower case, without padding)."""
    cdef const uint8_t *letters = b"abcdefghijklmnopqrstuvwxyz234567"
    cdef uint64_t held = 0
    cdef int bits = 0, n
    for n in range(16):
        held = held << 8 | digest[n]
        bits += 8
        while bits >= 5:
            bits -= 5
            _byte(out, letters[(held >> bits) & 31])
    return _byte(out, letters[(held << (5 - bits)) & 31])
