#include "devices/virtio/console.hpp"

#include <cstddef>

namespace strata::devices::virtio {

namespace {

// Section 5.3.3 and 5.3.4.
constexpr std::uint64_t feature_emergency_write = bit(2);

struct Config {
    std::uint16_t columns, rows;
    std::uint32_t max_ports;
    std::uint32_t emergency_write;
};

enum Queues : unsigned { receive_queue, transmit_queue };

// A request writes at most this much, so that none holds the device lock for long.
constexpr std::size_t max_bytes_per_request = 1 << 20;

class Console final : public VirtioDevice {
public:
    Console(const Environment& environment, backends::CharBackend& backend)
        : VirtioDevice(environment, {.type = Type::console,
                                     .info = console_info,
                                     .features = feature_emergency_write,
                                     .queue_sizes = {64, 64}}),
          backend_(backend) {
        backend_.set_receiver([this](std::span<const std::byte> bytes) { return receive(bytes); });
    }

    ~Console() override { backend_.set_receiver({}); }

    // What a driver prints before it has set up queues (section 5.3.4).
    void write_config(std::uint64_t offset, unsigned /*size*/, std::uint64_t value) override {
        if (offset == offsetof(Config, emergency_write)) {
            const auto character = static_cast<std::byte>(value);
            backend_.write(std::span(&character, 1));
        }
    }

private:
    [[nodiscard]] std::vector<std::byte> config() const override { return config_bytes(Config{}); }

    void available(unsigned index) override {
        if (index == receive_queue) {
            backend_.resume();
        } else {
            serve(index);
        }
    }

    void handle(unsigned index, Chain chain) override {
        chain.read_in_place(max_bytes_per_request, [this](std::span<const std::byte> piece) {
            backend_.write(piece);
            return true;
        });
        complete(index, chain);
    }

    // Bytes that come before there are buffers stay with the backend until available() asks for them.
    std::size_t receive(std::span<const std::byte> bytes) {
        std::size_t taken = 0;
        while (taken < bytes.size()) {
            auto chain = pop(receive_queue);
            if (!chain) {
                break;
            }
            taken += chain->write(bytes.subspan(taken));
            push(receive_queue, *chain);
        }
        signal(receive_queue);
        return taken;
    }

    backends::CharBackend& backend_;
};

} // namespace

std::unique_ptr<VirtioDevice> create_console(const Environment& environment, backends::CharBackend& backend) {
    return std::make_unique<Console>(environment, backend);
}

} // namespace strata::devices::virtio
