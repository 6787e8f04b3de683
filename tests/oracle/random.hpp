// The source of chance: SplitMix64, so that a seed and a case's number give the case again on any machine.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace strata::oracle {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    // An independent stream for each number.
    Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(seed) ^ mix(stream + 0x1234'5678)) {}

    std::uint64_t next() {
        state_ += 0x9E37'79B9'7F4A'7C15;
        return mix(state_);
    }

    // Below `bound`, which is not 0.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }

    // From `low` to `high`, both included.
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
    }

    bool chance(unsigned percent) { return below(100) < percent; }

    template <class T>
    T pick(std::span<const T> from) {
        return from[below(from.size())];
    }

    template <class T, std::size_t N>
    T pick(const std::array<T, N>& from) {
        return from[below(N)];
    }

private:
    static std::uint64_t mix(std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9;
        z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EB;
        return z ^ (z >> 31);
    }

    std::uint64_t state_;
};

} // namespace strata::oracle
