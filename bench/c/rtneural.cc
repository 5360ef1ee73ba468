/* RTNeural (https://github.com/jatinchowdhury18/RTNeural) as a contestant: a GRU or LSTM whose sizes are fixed when it is
 * compiled (CGRU_JUDGE_FIXED), with its own mathematics for sigmoid and tanh.
 *
 *     cgru judge rtneural.cc --include PATH_OF_RTNEURAL --flags='-O3 -march=native -DRTNEURAL_USE_EIGEN=1'
 *
 * RTNEURAL_USE_EIGEN=1 takes Eigen, RTNEURAL_USE_XSIMD=1 takes xsimd (each needs its own --include), neither its plain C++.
 *
 * It starts from zeros alone, since RTNeural keeps its states to itself. Inputs are taken where they lie if they are aligned
 * as RTNeural wants them, and are copied otherwise.
 */
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#if !defined(RTNEURAL_DEFAULT_ALIGNMENT)
#if RTNEURAL_USE_XSIMD && defined(__AVX512F__)
#define RTNEURAL_DEFAULT_ALIGNMENT 64
#elif defined(__AVX__)
#define RTNEURAL_DEFAULT_ALIGNMENT 32
#else
#define RTNEURAL_DEFAULT_ALIGNMENT 16
#endif
#endif

#include <RTNeural/RTNeural.h>

#include "cgru_judge.h"

namespace
{
constexpr int I = CGRU_JUDGE_INPUT_SIZE, H = CGRU_JUDGE_HIDDEN_SIZE;
constexpr bool is_lstm = CGRU_JUDGE_CELL == CGRU_JUDGE_LSTM;
constexpr int gates = is_lstm ? 4 : 3;
constexpr int padded = (I + 15) / 16 * 16; /* a vector reads so far */

#if CGRU_JUDGE_CELL == CGRU_JUDGE_LSTM
using Layer = RTNeural::LSTMLayerT<float, I, H>;
#else
using Layer = RTNeural::GRULayerT<float, I, H>;
#endif

struct Model
{
    alignas(64) float input[padded] = {};
    alignas(64) RTNeural::ModelT<float, I, H, Layer> network;
};

/* gate by gate where RTNeural has PyTorch's: z r n of r z n, and i f g o as it is */
int place(int gate)
{
    return is_lstm || gate == 2 ? gate : 1 - gate;
}

/* (columns, gates * H) from PyTorch's (gates * H, columns) */
std::vector<std::vector<float>> turned(const float *w, int columns)
{
    std::vector<std::vector<float>> out(columns, std::vector<float>(gates * H));
    for (int g = 0; g < gates; g++)
        for (int j = 0; j < H; j++)
            for (int k = 0; k < columns; k++)
                out[k][place(g) * H + j] = w[(g * H + j) * columns + k];
    return out;
}

#if CGRU_JUDGE_CELL == CGRU_JUDGE_LSTM
void set_biases(Layer &layer, const float *b_ih, const float *b_hh)
{
    std::vector<float> sums(gates * H);
    for (int j = 0; j < gates * H; j++)
        sums[j] = b_ih[j] + b_hh[j];
    layer.setBVals(sums);
}
#else
void set_biases(Layer &layer, const float *b_ih, const float *b_hh)
{
    auto in = turned(b_ih, 1), state = turned(b_hh, 1);
    layer.setBVals({in[0], state[0]});
}
#endif

bool all_zero(const float *values)
{
    for (int j = 0; j < H; j++)
        if (values[j] != 0.0f)
            return false;
    return true;
}
}

extern "C" {

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    if (layer->cell != CGRU_JUDGE_CELL || layer->cell == CGRU_JUDGE_RNN || layer->input_size != I || layer->hidden_size != H
        || layer->rows != 1 || (!is_lstm && !layer->reset_after))
        return nullptr;
    void *memory = nullptr;
    if (posix_memalign(&memory, 64, sizeof(Model)))
        return nullptr;
    auto *model = new (memory) Model();
    auto &first = model->network.template get<0>();
    first.setWVals(turned(layer->weight_ih, I));
    first.setUVals(turned(layer->weight_hh, H));
    set_biases(first, layer->bias_ih, layer->bias_hh);
    return model;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    auto *m = static_cast<Model *>(model);
    m->network.reset();
    return !all_zero(h_0) || (is_lstm && !all_zero(c_0));
}

void cgru_judge_step(void *model, const float *x, float *y)
{
    auto *m = static_cast<Model *>(model);
    const float *input = x;
    if (I % 16 || reinterpret_cast<std::uintptr_t>(x) % 64) {
        std::memcpy(m->input, x, sizeof(float) * I);
        input = m->input;
    }
    m->network.forward(input);
    std::memcpy(y, m->network.getOutputs(), sizeof(float) * H);
}

void cgru_judge_free(void *model)
{
    auto *m = static_cast<Model *>(model);
    m->~Model();
    free(m);
}

const char *cgru_judge_name(void)
{
#if RTNEURAL_USE_EIGEN
    return "RTNeural, Eigen";
#elif RTNEURAL_USE_XSIMD
    return "RTNeural, xsimd";
#else
    return "RTNeural, plain C++";
#endif
}
}
