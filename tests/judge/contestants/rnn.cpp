// A plain RNN in C++, with the library's own containers; it throws where it can do nothing.
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include <cgru_judge.h>

namespace {

class Rnn {
public:
    explicit Rnn(const cgru_judge_layer &layer)
        : I(layer.input_size), H(layer.hidden_size), ih(layer.weight_ih, layer.weight_ih + H * I),
          hh(layer.weight_hh, layer.weight_hh + H * H), bias(layer.bias_ih, layer.bias_ih + H), h(H)
    {
        if (layer.cell != CGRU_JUDGE_RNN || layer.rows != 1) throw std::invalid_argument("an RNN of one row");
        for (int j = 0; j < H; j++) bias[j] += layer.bias_hh[j];
    }

    void step(const float *x, float *y)
    {
        std::vector<float> next(bias);
        for (int j = 0; j < H; j++) {
            for (int k = 0; k < I; k++) next[j] += ih[j * I + k] * x[k];
            for (int k = 0; k < H; k++) next[j] += hh[j * H + k] * h[k];
            y[j] = next[j] = std::tanh(next[j]);
        }
        h.swap(next);
    }

    int I, H;
    std::vector<float> ih, hh, bias, h;
};

}

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    try {
        return new Rnn(*layer);
    } catch (const std::invalid_argument &) {
        return nullptr;
    }
}

int cgru_judge_reset(void *model, const float *h_0, const float *)
{
    Rnn *rnn = static_cast<Rnn *>(model);
    rnn->h.assign(h_0, h_0 + rnn->H);
    return 0;
}

void cgru_judge_step(void *model, const float *x, float *y) { static_cast<Rnn *>(model)->step(x, y); }

void cgru_judge_free(void *model) { delete static_cast<Rnn *>(model); }

const char *cgru_judge_name(void)
{
    static const std::string name = "a class";
    return name.c_str();
}
