// The recurrence of a GRU on a CPU, forward and backward, for several sequences at once (directions, blocks).
//
// Gates as in torch.nn.GRU: r, z, n with n = tanh(gx_n + r * q), q = W_hn h + b_hn. The input gates gx (bias included) come in as one
// product made outside. Each thread takes whole sequences, or rows of one where there are more threads than sequences, and runs
// through time alone: no barrier a step, which is what torch.nn.GRU loses on two cores, most of all when one is busy elsewhere.
// The elementwise part is one pass over a step's rows in float32; storage is float32 or bfloat16.

#include <ATen/Parallel.h>
#include <torch/extension.h>

#include <cstdint>
#include <vector>

#include "gates.h"
#include "product.h"

namespace {

using torch::Tensor;

template <typename T>
T* pointer(const Tensor& t) { return reinterpret_cast<T*>(t.data_ptr()); }

struct Piece { int64_t sequence, begin, end; };         // rows [begin, end) of a sequence

std::vector<Piece> pieces_of(const std::vector<Tensor>& gx) {
  int64_t sequences = gx.size(), threads = at::get_num_threads();
  int64_t splits = std::max<int64_t>(1, threads / sequences);
  std::vector<Piece> pieces;
  for (int64_t s = 0; s < sequences; ++s) {
    int64_t rows = gx[s].size(1), step = (rows + splits - 1) / splits;
    for (int64_t begin = 0; begin < rows; begin += step) pieces.push_back({s, begin, std::min(rows, begin + step)});
  }
  return pieces;
}

template <typename T>
void forward_piece(const Tensor& gx, const Tensor& w, const Tensor& bn, const Tensor& h0, bool reverse, const Tensor& h,
                   const Tensor& saved, int64_t begin, int64_t end) {
  const int64_t steps = gx.size(0), n = gx.size(1), H = h.size(2), rows = end - begin;
  Tensor state = h0.slice(0, begin, end).to(torch::kFloat).contiguous().clone();
  const Tensor first = state.to(gx.scalar_type());
  const T* previous = pointer<T>(first);
  Product<T> product(w, rows);
  const float* b = pointer<float>(bn);
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t t = reverse ? steps - 1 - i : i, at = t * n + begin;
    const auto* g = product(previous);
    for (int64_t row = 0; row < rows; ++row) {
      forward_row(pointer<T>(gx) + (at + row) * 3 * H, g + row * 3 * H, b, pointer<float>(state) + row * H,
                  pointer<T>(h) + (at + row) * H, pointer<T>(saved) + (at + row) * 4 * H, H);
    }
    previous = pointer<T>(h) + at * H;
  }
}

template <typename T>
void backward_piece(const Tensor& grad, const Tensor& h, const Tensor& saved, const Tensor& wt, const Tensor& h0, bool reverse,
                    const Tensor& dgx, const Tensor& dq, const Tensor& dh0, int64_t begin, int64_t end) {
  const int64_t steps = h.size(0), n = h.size(1), H = h.size(2), rows = end - begin;
  Tensor carry = torch::zeros({rows, H}, h0.options()), dg = torch::empty({rows, 3 * H}, h.options());
  Product<T> product(wt, rows);
  const std::vector<typename Product<T>::Out> none(rows * H);
  const auto* through = none.data();
  const Tensor first = h0.to(h.scalar_type()).contiguous();
  for (int64_t i = steps - 1; i >= 0; --i) {
    const int64_t t = reverse ? steps - 1 - i : i, before = reverse ? t + 1 : t - 1;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = t * n + begin + row;
      const T* last = i == 0 ? pointer<T>(first) + (begin + row) * H : pointer<T>(h) + (before * n + begin + row) * H;
      backward_row(pointer<T>(grad) + at * H, pointer<float>(carry) + row * H, through + row * H, pointer<T>(saved) + at * 4 * H, last,
                   pointer<T>(dgx) + at * 3 * H, pointer<T>(dq) + at * H, pointer<T>(dg) + row * 3 * H, H);
    }
    through = product(pointer<T>(dg));
  }
  for (int64_t i = 0; i < rows * H; ++i) pointer<float>(dh0)[begin * H + i] = pointer<float>(carry)[i] + to_float(through[i]);
}

template <typename F>
void each_piece(const std::vector<Piece>& pieces, const F& run) {
  at::parallel_for(0, pieces.size(), 1, [&](int64_t from, int64_t to) {
    at::AutoDispatchBelowADInplaceOrView guard;
    for (int64_t i = from; i < to; ++i) run(pieces[i]);
  });
}

}  // namespace

// gx[s] (T, N, 3H), w[s] (H, 3H) in the storage type; bn[s] (H), h0[s] (N, H) float32 -> {h (T, N, H), saved (T, N, 4H)} of each sequence.
std::vector<Tensor> forward(const std::vector<Tensor>& gx, const std::vector<Tensor>& w, const std::vector<Tensor>& bn,
                            const std::vector<Tensor>& h0, const std::vector<int64_t>& reverse) {
  std::vector<Tensor> out;
  for (const Tensor& g : gx) {
    out.push_back(torch::empty({g.size(0), g.size(1), g.size(2) / 3}, g.options()));
    out.push_back(torch::empty({g.size(0), g.size(1), g.size(2) / 3 * 4}, g.options()));
  }
  each_piece(pieces_of(gx), [&](const Piece& p) {
    auto run = gx[p.sequence].scalar_type() == torch::kFloat ? forward_piece<float> : forward_piece<uint16_t>;
    run(gx[p.sequence], w[p.sequence], bn[p.sequence], h0[p.sequence], reverse[p.sequence], out[2 * p.sequence], out[2 * p.sequence + 1],
        p.begin, p.end);
  });
  return out;
}

// grad[s] (T, N, H), wt[s] (3H, H) -> {dgx (T, N, 3H), dq (T, N, H), dh0 (N, H) float32} of each sequence.
std::vector<Tensor> backward(const std::vector<Tensor>& grad, const std::vector<Tensor>& h, const std::vector<Tensor>& saved,
                             const std::vector<Tensor>& wt, const std::vector<Tensor>& h0, const std::vector<int64_t>& reverse) {
  std::vector<Tensor> out;
  for (size_t s = 0; s < h.size(); ++s) {
    out.push_back(torch::empty({h[s].size(0), h[s].size(1), h[s].size(2) * 3}, h[s].options()));
    out.push_back(torch::empty_like(h[s]));
    out.push_back(torch::empty_like(h0[s]));
  }
  each_piece(pieces_of(h), [&](const Piece& p) {
    const int64_t s = p.sequence;
    auto run = h[s].scalar_type() == torch::kFloat ? backward_piece<float> : backward_piece<uint16_t>;
    run(grad[s], h[s], saved[s], wt[s], h0[s], reverse[s], out[3 * s], out[3 * s + 1], out[3 * s + 2], p.begin, p.end);
  });
  return out;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &forward, pybind11::call_guard<pybind11::gil_scoped_release>());
  m.def("backward", &backward, pybind11::call_guard<pybind11::gil_scoped_release>());
}
