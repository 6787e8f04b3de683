#include "devices/virtio/net.hpp"

#include "devices/virtio/frame.hpp"

#include <algorithm>

namespace strata::devices::virtio {

namespace {

// Section 5.1.3.
constexpr std::uint64_t feature_checksum = bit(0);
constexpr std::uint64_t feature_mac = bit(5);
constexpr std::uint64_t feature_mergeable_buffers = bit(15);
constexpr std::uint64_t feature_status = bit(16);
constexpr std::uint64_t feature_control_queue = bit(17);
constexpr std::uint64_t feature_multiqueue = bit(22);

constexpr std::uint16_t queue_size = 256, control_queue_size = 64;
constexpr std::uint16_t status_link_up = 1;

// Section 5.1.4: struct virtio_net_config.
struct Config {
    MacAddress mac;
    std::uint16_t status;
    std::uint16_t max_queue_pairs;
};

// Section 5.1.6: struct virtio_net_hdr.
struct Header {
    std::uint8_t flags;
    std::uint8_t segmentation;
    std::uint16_t header_length, segment_size;
    std::uint16_t checksum_start, checksum_offset;
    std::uint16_t buffers;
};

constexpr std::uint8_t flag_needs_checksum = 1;
constexpr std::uint8_t segmentation_none = 0;

// The longest frame taken from a driver: an IP packet of the greatest size.
constexpr std::size_t max_frame = 65535 + 14;

// The longest frame put into a single buffer (section 5.1.6.3.1).
constexpr std::size_t max_plain_frame = 1514;

// Section 5.1.6.5: the control queue.
struct Command {
    std::uint8_t group, command;
};

constexpr std::uint8_t group_multiqueue = 4, command_set_pairs = 0;
enum class Acknowledgement : std::uint8_t { ok = 0, error = 1 };

std::vector<std::uint16_t> queue_sizes(std::uint16_t pairs) {
    std::vector<std::uint16_t> sizes(std::size_t{pairs} * 2, queue_size);
    sizes.push_back(control_queue_size);
    return sizes;
}

std::uint64_t features_of(std::uint16_t pairs) {
    const auto features =
        feature_checksum | feature_mac | feature_mergeable_buffers | feature_status | feature_control_queue;
    return pairs > 1 ? features | feature_multiqueue : features;
}

class Net final : public VirtioDevice {
public:
    Net(const Environment& environment, backends::NetBackend& backend, const NetOptions& options)
        : VirtioDevice(environment, {.type = Type::network,
                                     .info = net_info,
                                     .features = features_of(options.queue_pairs),
                                     .queue_sizes = queue_sizes(options.queue_pairs)}),
          backend_(backend), options_(options) {
        backend_.set_receiver([this](std::span<const std::byte> frame) { return receive(frame); });
    }

    ~Net() override { backend_.set_receiver({}); }

private:
    [[nodiscard]] std::vector<std::byte> config() const override {
        return config_bytes(Config{options_.mac, status_link_up, options_.queue_pairs});
    }

    [[nodiscard]] bool consistent(std::uint64_t features) const override {
        return !(features & feature_multiqueue) || (features & feature_control_queue);
    }

    // Section 5.1.2: pairs of a receive and a transmit queue, then the control queue.
    [[nodiscard]] unsigned control_queue() const {
        return negotiated(feature_multiqueue) ? options_.queue_pairs * 2 : 2;
    }

    void available(unsigned index) override {
        const bool receives = index != control_queue() && index % 2 == 0;
        if (receives) {
            backend_.resume();
        } else {
            serve(index);
        }
    }

    void handle(unsigned index, Chain chain) override {
        if (index == control_queue()) {
            control(chain);
        } else {
            transmit(index, chain);
        }
        complete(index, chain);
    }

    void transmit(unsigned index, Chain& chain) {
        const auto header = chain.read<Header>();
        if (!header || header->segmentation != segmentation_none || chain.readable() > max_frame) {
            return; // dropped, as on a wire
        }
        frame_.resize(chain.readable());
        chain.read(frame_);
        if ((header->flags & flag_needs_checksum) &&
            !complete_checksum(frame_, header->checksum_start, header->checksum_offset)) {
            return;
        }
        steering_[flow_of(frame_) % steering_.size()] = static_cast<std::uint16_t>(index / 2);
        backend_.send(frame_);
    }

    void control(Chain& chain) {
        const auto command = chain.read<Command>();
        auto result = Acknowledgement::error;
        if (command && command->group == group_multiqueue && command->command == command_set_pairs) {
            const auto pairs = chain.read<std::uint16_t>();
            if (negotiated(feature_multiqueue) && pairs && *pairs >= 1 && *pairs <= options_.queue_pairs) {
                pairs_ = *pairs;
                result = Acknowledgement::ok;
            }
        }
        chain.write(std::as_bytes(std::span(&result, 1)));
    }

    // Section 5.1.6.5.6: a flow is received where it was last sent.
    [[nodiscard]] unsigned receive_queue_for(std::span<const std::byte> frame) const {
        return steering_[flow_of(frame) % steering_.size()] % pairs_ * 2;
    }

    [[nodiscard]] bool receive(std::span<const std::byte> frame) {
        const bool fits = negotiated(feature_mergeable_buffers) || frame.size() <= max_plain_frame;
        if (!active() || !fits) {
            return true; // dropped: nobody listens, or not to so much
        }
        const auto index = receive_queue_for(frame);
        auto chains = gather(index, sizeof(Header) + frame.size());
        if (chains.empty()) {
            return !active();
        }
        Header header{};
        header.buffers = static_cast<std::uint16_t>(chains.size());
        chains.front().write(std::as_bytes(std::span(&header, 1)));
        for (Chain& chain : chains) {
            frame = frame.subspan(chain.write(frame));
            push(index, chain);
        }
        signal(index);
        return true;
    }

    // Enough chains for `size` bytes, or none: one unless the driver lets a frame span several.
    [[nodiscard]] std::vector<Chain> gather(unsigned index, std::size_t size) {
        std::vector<Chain> chains;
        std::size_t space = 0;
        while (space < size) {
            auto chain = pop(index);
            const bool usable = chain && (negotiated(feature_mergeable_buffers) || chain->writable() >= size);
            if (!usable || (chains.empty() && chain->writable() < sizeof(Header))) {
                give_back(index, chains.size() + (chain ? 1 : 0));
                if (chain) {
                    fail(); // section 5.1.6.3.1: buffers hold at least the header, or a whole frame
                }
                return {};
            }
            space += chain->writable();
            chains.push_back(std::move(*chain));
        }
        return chains;
    }

    void give_back(unsigned index, std::size_t count) {
        for (; count > 0; --count) {
            queue(index).undo_pop();
        }
    }

    void stopped() override { pairs_ = 1; }

    void visit_state(StateVisitor& visitor) override {
        visitor.field_up_to("pairs", pairs_, options_.queue_pairs);
        pairs_ = std::max<std::uint16_t>(pairs_, 1);
    }

    backends::NetBackend& backend_;
    NetOptions options_;
    std::uint16_t pairs_ = 1;                   // in use
    std::array<std::uint16_t, 256> steering_{}; // by flow: the pair that last sent it
    std::vector<std::byte> frame_;              // being sent
};

} // namespace

std::unique_ptr<VirtioDevice> create_net(const Environment& environment, backends::NetBackend& backend,
                                         const NetOptions& options) {
    return std::make_unique<Net>(environment, backend, options);
}

} // namespace strata::devices::virtio
