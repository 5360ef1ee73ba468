/* What the page calls: one state and one frame in static memory, whose addresses the page asks for once.
   The network itself is speaker.c, which `build.py` exports beside the compiler's output. */
#include "speaker.h"

#define EXPORTED(name) __attribute__((export_name(name)))

static speaker_state state;
static float x[SPEAKER_INPUT_SIZE], y[SPEAKER_OUTPUT_SIZE];

EXPORTED("input") float *input(void) { return x; }
EXPORTED("output") float *output(void) { return y; }
EXPORTED("input_size") int input_size(void) { return SPEAKER_INPUT_SIZE; }
EXPORTED("output_size") int output_size(void) { return SPEAKER_OUTPUT_SIZE; }
EXPORTED("reset") void reset(void) { speaker_reset(&state); }
EXPORTED("step") void step(void) { speaker_step(&state, x, y); }
EXPORTED("steps") void steps(int count) { while (count-- > 0) speaker_step(&state, x, y); }
