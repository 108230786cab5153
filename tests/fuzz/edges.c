/* Which edges of the kernel a run takes, counted: gcc calls the first function in every block that
   it built with -fsanitize-coverage=trace-pc. Law: the count is of one run; what was seen is of all
   that were kept. */

#include <stdint.h>
#include <string.h>

enum { SIZE = 1 << 16 };

static uint8_t counts[SIZE];
static uint8_t seen[SIZE];
static uint16_t touched[SIZE];
static uint32_t touched_count;
static uintptr_t before;

/* How often, in steps: a loop that is gone through once more is nothing new, one twice as long is. */
static uint8_t step(uint8_t count)
{
    if (count < 4)
        return (uint8_t)(1u << (count - 1));
    if (count < 8)
        return 8;
    if (count < 16)
        return 16;
    if (count < 32)
        return 32;
    return count < 128 ? 64 : 128;
}

void edges_begin(void)
{
    for (uint32_t n = 0; n < touched_count; n++)
        counts[touched[n]] = 0;
    touched_count = 0;
    before = 0;
}

void __sanitizer_cov_trace_pc(void)
{
    /* from the beginning of this library, which lies elsewhere in every process */
    uintptr_t here = (uintptr_t)__builtin_return_address(0) - (uintptr_t)&edges_begin;
    uint16_t edge;
    here = here * 0x9E3779B97F4A7C15ull >> 48;
    edge = (uint16_t)(here ^ before);
    before = here >> 1;
    if (counts[edge] == 0)
        touched[touched_count++] = edge;
    if (counts[edge] < 255)
        counts[edge]++;
}

/* What of this run was never seen before; from now on it was. */
uint32_t edges_new(void)
{
    uint32_t found = 0;
    for (uint32_t n = 0; n < touched_count; n++) {
        uint8_t bit = step(counts[touched[n]]);
        if (!(seen[touched[n]] & bit)) {
            seen[touched[n]] |= bit;
            found++;
        }
    }
    return found;
}

uint32_t edges_seen(void)
{
    uint32_t found = 0;
    for (uint32_t n = 0; n < SIZE; n++)
        found += seen[n] != 0;
    return found;
}

void edges_forget(void)
{
    memset(seen, 0, sizeof seen);
    edges_begin();
}
