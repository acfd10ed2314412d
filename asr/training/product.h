// Few rows times one matrix, over and over: the product of every step of a recurrence.
//
// A general matrix product spends most of such a call on arranging the matrix anew (measured with 6 rows, 256 x 768 in bfloat16: 35 us,
// of which 25 do not depend on the rows). Here the matrix is arranged once for all steps; the same product takes 11 us. This needs the
// bfloat16 dot products of AVX-512; float32 and other machines call at::mm.

#pragma once

#include <torch/extension.h>

#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

// Storage T (float, or uint16_t holding bfloat16) times a matrix (K, N) of the same storage; results are Out.
template <typename T>
class Product {
 public:
  using Out = T;
  Product(const torch::Tensor& matrix, int64_t rows) : matrix_(matrix), out_(torch::empty({rows, matrix.size(1)}, matrix.options())) {}

  // a (rows, K), its rows one after another -> (rows, N), valid until the next call.
  const Out* operator()(const T* a) {
    const torch::Tensor left = torch::from_blob(const_cast<T*>(a), {out_.size(0), matrix_.size(0)}, matrix_.options());
    at::mm_out(out_, left, matrix_);
    return reinterpret_cast<const T*>(out_.data_ptr());
  }

 private:
  torch::Tensor matrix_, out_;
};

#ifdef __AVX512BF16__

template <>
class Product<uint16_t> {
 public:
  using Out = float;
  Product(const torch::Tensor& matrix, int64_t rows)
      : rows_(rows), depth_(matrix.size(0)), width_(matrix.size(1)), matrix_(matrix), out_(rows * width_) {
    if (depth_ % 2 || width_ % WIDE) return;            // sizes that no trained model has: at::mm
    packed_.resize(matrix.numel());
    const uint16_t* from = reinterpret_cast<const uint16_t*>(matrix.data_ptr());
    uint16_t* to = packed_.data();                      // [N / WIDE][K / 2][WIDE][2]: what the kernel reads, in the order it does
    for (int64_t n = 0; n < width_; n += WIDE)
      for (int64_t k = 0; k < depth_; k += 2)
        for (int64_t j = n; j < n + WIDE; ++j) {
          *to++ = from[k * width_ + j];
          *to++ = from[(k + 1) * width_ + j];
        }
  }

  const float* operator()(const uint16_t* a) {
    if (packed_.empty()) {
      const torch::Tensor left = torch::from_blob(const_cast<uint16_t*>(a), {rows_, depth_}, matrix_.options());
      torch::from_blob(out_.data(), {rows_, width_}, torch::kFloat).copy_(at::mm(left, matrix_));
      return out_.data();
    }
    for (int64_t n = 0; n < width_; n += WIDE) {        // a block of the matrix stays in the nearest cache for all rows
      int64_t row = 0;
      for (; row + 6 <= rows_; row += 6) tile<6>(a, row, n);
      switch (rows_ - row) {
        case 5: tile<5>(a, row, n); break;
        case 4: tile<4>(a, row, n); break;
        case 3: tile<3>(a, row, n); break;
        case 2: tile<2>(a, row, n); break;
        case 1: tile<1>(a, row, n); break;
      }
    }
    return out_.data();
  }

 private:
  static constexpr int64_t LANES = 16, VECTORS = 4, WIDE = LANES * VECTORS;

  // R rows times WIDE columns; the sums stay in R * VECTORS registers.
  template <int R>
  void tile(const uint16_t* a, int64_t row, int64_t column) {
    const uint16_t* matrix = packed_.data() + column * depth_;
    __m512 sums[R][VECTORS];
    for (auto& of_row : sums)
      for (auto& sum : of_row) sum = _mm512_setzero_ps();
    for (int64_t k = 0; k < depth_; k += 2, matrix += 2 * WIDE) {
      __m512bh columns[VECTORS];
      for (int v = 0; v < VECTORS; ++v) columns[v] = (__m512bh)_mm512_loadu_si512(matrix + 2 * LANES * v);
      for (int r = 0; r < R; ++r) {
        int32_t pair;
        std::memcpy(&pair, a + (row + r) * depth_ + k, sizeof pair);
        const __m512bh left = (__m512bh)_mm512_set1_epi32(pair);
        for (int v = 0; v < VECTORS; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], left, columns[v]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < VECTORS; ++v) _mm512_storeu_ps(out_.data() + (row + r) * width_ + column + LANES * v, sums[r][v]);
  }

  int64_t rows_, depth_, width_;
  torch::Tensor matrix_;
  std::vector<uint16_t> packed_;
  std::vector<float> out_;
};

#endif
