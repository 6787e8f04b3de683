#include "devices/virtio/rng.hpp"

#include <sys/random.h>

namespace strata::devices::virtio {

namespace {

// A request gets at most this much; the driver asks again for more. getrandom(2) gives so many whole,
// whatever signals come.
constexpr std::size_t max_bytes_per_request = 256;

class Rng final : public VirtioDevice {
public:
    explicit Rng(const Environment& environment)
        : VirtioDevice(environment, {.type = Type::entropy, .info = rng_info, .queue_sizes = {64}}) {}

private:
    void handle(unsigned index, Chain chain) override {
        chain.write_in_place(max_bytes_per_request, [](std::span<std::byte> piece) {
            return getrandom(piece.data(), piece.size(), 0) == static_cast<ssize_t>(piece.size());
        });
        complete(index, chain);
    }
};

} // namespace

std::unique_ptr<VirtioDevice> create_rng(const Environment& environment) {
    return std::make_unique<Rng>(environment);
}

} // namespace strata::devices::virtio
