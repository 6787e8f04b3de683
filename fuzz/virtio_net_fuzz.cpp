// A hostile driver for the network card, and frames that arrive.
#include "devices/virtio/net.hpp"
#include "virtio_driver.hpp"

namespace {

using namespace strata;

class Wire final : public backends::NetBackend {
public:
    void send(std::span<const std::byte>) override {}

    void arrive(std::span<const std::uint8_t> frame) { static_cast<void>(deliver(std::as_bytes(frame))); }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Wire wire;
    static fuzz::VirtioDriver driver(
        [](const auto& environment) {
            return devices::virtio::create_net(environment, wire, {.queue_pairs = 2});
        },
        [](auto frame) { wire.arrive(frame); });
    driver.run({data, size});
    return 0;
}
