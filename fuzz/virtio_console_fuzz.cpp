// A hostile driver for the console, and typing at it.
#include "devices/virtio/console.hpp"
#include "virtio_driver.hpp"

namespace {

using namespace strata;

class Typist final : public backends::CharBackend {
public:
    void write(std::span<const std::byte>) override {}

    void type(std::span<const std::uint8_t> keys) { static_cast<void>(deliver(std::as_bytes(keys))); }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Typist typist;
    static fuzz::VirtioDriver driver(
        [](const auto& environment) { return devices::virtio::create_console(environment, typist); },
        [](auto keys) { typist.type(keys); });
    driver.run({data, size});
    return 0;
}
