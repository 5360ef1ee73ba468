/* What a GRU, LSTM or RNN in C or C++ offers to be judged by `cgru judge`: version 1.

   Layouts are PyTorch's, all arrays are row-major, all numbers float32:

       GRU   r = s(W_ir x + b_ir + W_hr h + b_hr)     z = s(W_iz x + b_iz + W_hz h + b_hz)
             n = tanh(W_in x + b_in + r * (W_hn h + b_hn))       reset_after = 1
             n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)       reset_after = 0
             h' = (1 - z) * n + z * h
       LSTM  i, f, o = s(W_i. x + b_i. + W_h. h + b_h.)          g = tanh(W_ig x + b_ig + W_hg h + b_hg)
             c' = f * c + i * g                                  h' = o * tanh(c')
       RNN   h' = tanh(W_i x + b_i + W_h h + b_h)

   Pointers are aligned as a float is, and no more. Nothing may be read or written outside the arrays, and what is
   const is not written. x and y do not overlap. The functions are called by one thread. Several models may be alive at
   once, each with a state of its own.

   A source that contains the word CGRU_JUDGE_FIXED has sizes that are fixed when it is compiled. It is compiled anew
   for every shape, with -DCGRU_JUDGE_CELL=... -DCGRU_JUDGE_INPUT_SIZE=... -DCGRU_JUDGE_HIDDEN_SIZE=... . Where it does
   not compile for a shape, that counts as refused. */
#ifndef CGRU_JUDGE_H
#define CGRU_JUDGE_H

#define CGRU_JUDGE_VERSION 1

/* values of `cell`; macros, so that #if can ask for CGRU_JUDGE_CELL */
#define CGRU_JUDGE_GRU 0
#define CGRU_JUDGE_RNN 1
#define CGRU_JUDGE_LSTM 2

#if defined(__GNUC__)
#define CGRU_JUDGE_API __attribute__((visibility("default")))
#else
#define CGRU_JUDGE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cgru_judge_layer {
    int cell;                               /* CGRU_JUDGE_GRU, CGRU_JUDGE_RNN or CGRU_JUDGE_LSTM */
    int input_size, hidden_size;            /* I, H: 1 or more */
    int rows;                               /* N, sequences that are stepped together: usually 1 */
    int reset_after;                        /* of a GRU: 1 as PyTorch, 0 as the paper of 2014 */
    const float *weight_ih, *weight_hh;     /* (G H, I), (G H, H); G = 3, gates r z n; 4, gates i f g o; or 1 */
    const float *bias_ih, *bias_hh;         /* (G H), never NULL */
} cgru_judge_layer;

/* A model of this layer, or NULL: it does not do this one. The struct and its arrays are gone afterwards: copy. */
CGRU_JUDGE_API void *cgru_judge_make(const cgru_judge_layer *layer);

/* Start from this state, (N, H) each; c_0 is NULL but for an LSTM. May be called at any time. The arrays are gone
   afterwards. 0, or anything else: it cannot start from this state. */
CGRU_JUDGE_API int cgru_judge_reset(void *model, const float *h_0, const float *c_0);

/* One step: x (N, I) to y (N, H), the new h. */
CGRU_JUDGE_API void cgru_judge_step(void *model, const float *x, float *y);

/* Optional. Further steps: x (steps, N, I) to y (steps, N, H). */
CGRU_JUDGE_API void cgru_judge_run(void *model, int steps, const float *x, float *y);

/* The end of a model. */
CGRU_JUDGE_API void cgru_judge_free(void *model);

/* Optional. A few words to call it by. */
CGRU_JUDGE_API const char *cgru_judge_name(void);

#ifdef __cplusplus
}
#endif

#endif
