// A hostile driver for the entropy device.
#include "devices/virtio/rng.hpp"
#include "virtio_driver.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static strata::fuzz::VirtioDriver driver(strata::devices::virtio::create_rng, [](auto) {});
    driver.run({data, size});
    return 0;
}
