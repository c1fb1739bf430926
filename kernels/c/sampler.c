/* SPDX-License-Identifier: Apache-2.0
 * The twin of toolchain/generate/sample.ts, where the meaning of every step stands. */
#include "sampler.h"

/* Sixteen powers of two: only the largest logits weigh anything. */
#define MOST_STEP (UINT64_C(1) << 36)

/* round(2^15 * 2^(-i / 256)) */
static const uint16_t weight_table[256] = {
    32768, 32679, 32591, 32503, 32415, 32327, 32240, 32153, 32066, 31979, 31893, 31806, 31720, 31635,
    31549, 31464, 31379, 31294, 31209, 31125, 31041, 30957, 30873, 30790, 30706, 30623, 30541, 30458,
    30376, 30293, 30212, 30130, 30048, 29967, 29886, 29805, 29725, 29644, 29564, 29484, 29405, 29325,
    29246, 29167, 29088, 29009, 28931, 28852, 28774, 28697, 28619, 28542, 28464, 28388, 28311, 28234,
    28158, 28082, 28006, 27930, 27855, 27779, 27704, 27629, 27554, 27480, 27406, 27332, 27258, 27184,
    27110, 27037, 26964, 26891, 26818, 26746, 26674, 26601, 26530, 26458, 26386, 26315, 26244, 26173,
    26102, 26031, 25961, 25891, 25821, 25751, 25681, 25612, 25543, 25474, 25405, 25336, 25268, 25199,
    25131, 25063, 24995, 24928, 24860, 24793, 24726, 24659, 24593, 24526, 24460, 24394, 24328, 24262,
    24196, 24131, 24066, 24001, 23936, 23871, 23806, 23742, 23678, 23614, 23550, 23486, 23423, 23359,
    23296, 23233, 23170, 23108, 23045, 22983, 22921, 22859, 22797, 22735, 22674, 22613, 22552, 22491,
    22430, 22369, 22309, 22248, 22188, 22128, 22068, 22009, 21949, 21890, 21831, 21772, 21713, 21654,
    21595, 21537, 21479, 21421, 21363, 21305, 21247, 21190, 21133, 21076, 21019, 20962, 20905, 20849,
    20792, 20736, 20680, 20624, 20568, 20513, 20457, 20402, 20347, 20292, 20237, 20182, 20127, 20073,
    20019, 19965, 19911, 19857, 19803, 19750, 19696, 19643, 19590, 19537, 19484, 19431, 19379, 19326,
    19274, 19222, 19170, 19118, 19066, 19015, 18963, 18912, 18861, 18810, 18759, 18708, 18658, 18607,
    18557, 18507, 18457, 18407, 18357, 18308, 18258, 18209, 18160, 18110, 18061, 18013, 17964, 17915,
    17867, 17819, 17770, 17722, 17674, 17627, 17579, 17531, 17484, 17437, 17390, 17343, 17296, 17249,
    17202, 17156, 17109, 17063, 17017, 16971, 16925, 16879, 16834, 16788, 16743, 16697, 16652, 16607,
    16562, 16518, 16473, 16428,
};

/* Logits above `least` are kept, and the first `equal` of those that equal it. */
typedef struct {
  int32_t least;
  int32_t equal;
} cut;

typedef struct {
  const int16_t *logits;
  int32_t count;
  int32_t largest;
  uint64_t step; /* at most MOST_STEP */
} row;

static inline uint32_t weight_of(const row *p, int32_t logit) {
  const uint64_t exponent = (uint32_t)(p->largest - logit) * p->step;
  const uint32_t whole = (uint32_t)(exponent >> 32);
  return whole > 15u ? 0u : (uint32_t)weight_table[(exponent >> 24) & 255u] >> whole;
}

static uint32_t sum_kept(const row *p, cut kept) {
  uint32_t sum = 0;
  int32_t equal = 0;
  for (int32_t i = 0; i < p->count; i++) {
    const int32_t logit = p->logits[i];
    if (logit < kept.least || (logit == kept.least && ++equal > kept.equal)) continue;
    sum += weight_of(p, logit);
  }
  return sum;
}

static int32_t count_from(const row *p, int32_t least) {
  int32_t count = 0;
  for (int32_t i = 0; i < p->count; i++) count += p->logits[i] >= least;
  return count;
}

static cut count_cut(const row *p, int32_t top_k) {
  const cut all = {INT16_MIN, p->count};
  if (top_k <= 0 || top_k >= p->count) return all;
  int32_t low = INT16_MIN, high = INT16_MAX + 1;
  while (high - low > 1) {
    const int32_t middle = (low + high) >> 1;
    if (count_from(p, middle) >= top_k) low = middle;
    else high = middle;
  }
  const cut kept = {low, top_k - count_from(p, low + 1)};
  return kept;
}

static uint32_t weight_from(const row *p, int32_t least, cut by_count) {
  const cut kept = {least, p->count};
  return sum_kept(p, least <= by_count.least ? by_count : kept);
}

static cut weight_cut(const row *p, cut by_count, uint32_t top_p) {
  if (top_p >= 1000u) return by_count;
  const uint64_t thousandths = (uint64_t)sum_kept(p, by_count) * top_p;
  const uint32_t share = (uint32_t)((thousandths + 999u) / 1000u);
  const uint32_t wanted = share > 0 ? share : 1u;
  int32_t low = INT16_MIN, high = INT16_MAX + 1;
  while (high - low > 1) {
    const int32_t middle = (low + high) >> 1;
    if (weight_from(p, middle, by_count) >= wanted) low = middle;
    else high = middle;
  }
  const int32_t least = low > by_count.least ? low : by_count.least;
  const uint32_t missing = wanted - weight_from(p, least + 1, by_count);
  const uint32_t weight = weight_of(p, least);
  const cut kept = {least, (int32_t)((missing + weight - 1u) / weight)};
  return kept;
}

static uint32_t next_random(uint32_t *state) {
  *state += 0x9e3779b9u;
  uint32_t word = *state;
  word = (word ^ word >> 16) * 0x85ebca6bu;
  word = (word ^ word >> 13) * 0xc2b2ae35u;
  return word ^ word >> 16;
}

/* The first of the largest. Hardly a value is larger than all before it: four are passed over at a
 * time. */
static int32_t index_of_largest(const int16_t *values, int32_t count) {
  int32_t best = 0, largest = values[0];
  for (int32_t i = 0; i < count; i++) {
    while (i + 4 <= count && values[i] <= largest && values[i + 1] <= largest &&
           values[i + 2] <= largest && values[i + 3] <= largest) {
      i += 4;
    }
    if (i == count || values[i] <= largest) continue;
    best = i;
    largest = values[i];
  }
  return best;
}

int32_t lm_choose_token(const lm_sampling *p, const int16_t *logits, int32_t count,
                        uint32_t *random_state) {
  const int32_t best = index_of_largest(logits, count);
  if (p->temperature == 0) return best;
  const uint64_t step = (uint64_t)p->step * 1000u / p->temperature;
  const row all = {logits, count, logits[best], step > MOST_STEP ? MOST_STEP : step};
  const cut kept = weight_cut(&all, count_cut(&all, p->top_k), p->top_p);
  const uint32_t total = sum_kept(&all, kept);
  uint32_t rest = (uint32_t)((uint64_t)next_random(random_state) * total >> 32);
  int32_t equal = 0;
  for (int32_t i = 0; i < count; i++) {
    const int32_t logit = logits[i];
    if (logit < kept.least || (logit == kept.least && ++equal > kept.equal)) continue;
    const uint32_t weight = weight_of(&all, logit);
    if (rest < weight) return i;
    rest -= weight;
  }
  return best;
}
