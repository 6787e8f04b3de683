#include "devices/virtio/rng.hpp"

#include <algorithm>
#include <functional>
#include <random>
#include <span>
#include <sys/random.h>
#include <utility>

namespace strata::devices::virtio {

namespace {

// A request gets at most this much; the driver asks again for more. getrandom(2) gives so many whole,
// whatever signals come.
constexpr std::size_t max_bytes_per_request = 256;

// Fills a piece of memory; false if it can't.
using Source = std::function<bool(std::span<std::byte>)>;

class Rng final : public VirtioDevice {
public:
    Rng(const Environment& environment, Source source)
        : VirtioDevice(environment, {.type = Type::entropy, .info = rng_info, .queue_sizes = {64}}),
          source_(std::move(source)) {}

private:
    void handle(unsigned index, Chain chain) override {
        chain.write_in_place(max_bytes_per_request, source_);
        complete(index, chain);
    }

    Source source_;
};

} // namespace

std::unique_ptr<VirtioDevice> create_rng(const Environment& environment) {
    return std::make_unique<Rng>(environment, [](std::span<std::byte> piece) {
        return getrandom(piece.data(), piece.size(), 0) == static_cast<ssize_t>(piece.size());
    });
}

std::unique_ptr<VirtioDevice> create_repeating_rng(const Environment& environment) {
    return std::make_unique<Rng>(
        environment, [engine = std::mt19937_64()](std::span<std::byte> piece) mutable {
            std::ranges::generate(piece, [&] { return static_cast<std::byte>(engine()); });
            return true;
        });
}

} // namespace strata::devices::virtio
