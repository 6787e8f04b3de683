#include "devices/virtio/block.hpp"

#include "base/worker.hpp"
#include "devices/virtio/block_request.hpp"

#include <mutex>
#include <utility>

namespace strata::devices::virtio {

namespace {

// Section 5.2.3.
constexpr std::uint64_t feature_seg_max = bit(2);
constexpr std::uint64_t feature_read_only = bit(5);
constexpr std::uint64_t feature_block_size = bit(6);
constexpr std::uint64_t feature_flush = bit(9);
constexpr std::uint64_t feature_multiqueue = bit(12);
constexpr std::uint64_t feature_discard = bit(13);
constexpr std::uint64_t feature_write_zeroes = bit(14);

constexpr std::uint16_t queue_size = 256;
constexpr std::uint32_t header_and_status = 2; // descriptors of a request besides its data

// Section 5.2.4: struct virtio_blk_config.
struct [[gnu::packed]] Config {
    std::uint64_t capacity; // in sectors
    std::uint32_t size_max;
    std::uint32_t seg_max;
    std::uint16_t cylinders;
    std::uint8_t heads, sectors;
    std::uint32_t block_size;
    std::uint8_t physical_block_exponent, alignment_offset;
    std::uint16_t min_io_size;
    std::uint32_t opt_io_size;
    std::uint8_t writeback, unused;
    std::uint16_t queues;
    std::uint32_t max_discard_sectors, max_discard_segments, discard_sector_alignment;
    std::uint32_t max_write_zeroes_sectors, max_write_zeroes_segments;
    std::uint8_t write_zeroes_may_unmap, reserved[3];
};

static_assert(sizeof(Config) == 60);

std::uint64_t features_of(const backends::BlockBackend& backend, std::uint16_t queues) {
    auto features = feature_seg_max | feature_block_size | feature_flush;
    features |= backend.read_only() ? feature_read_only : feature_discard | feature_write_zeroes;
    return queues > 1 ? features | feature_multiqueue : features;
}

// Requests are taken under the device lock, performed on a worker thread (one a queue if the backend allows
// it, else one for all), and completed on the event loop, under the device lock again.
class Block final : public VirtioDevice {
public:
    Block(const Environment& environment, backends::BlockBackend& backend, const BlockOptions& options)
        : VirtioDevice(environment, {.type = Type::block,
                                     .info = block_info,
                                     .features = features_of(backend, options.queues),
                                     .queue_sizes = std::vector<std::uint16_t>(options.queues, queue_size)}),
          backend_(backend), serial_(options.serial) {
        const auto workers = backend.concurrent() ? options.queues : std::uint16_t{1};
        for (unsigned i = 0; i < workers; ++i) {
            workers_.push_back(std::make_unique<Worker>("virtio-blk"));
        }
    }

private:
    struct Finished {
        unsigned queue;
        std::uint16_t head;
        std::uint32_t written;
    };

    [[nodiscard]] std::vector<std::byte> config() const override {
        Config config{};
        config.capacity = backend_.size() / sector_size;
        config.seg_max = queue_size - header_and_status;
        config.block_size = sector_size;
        config.writeback = 1;
        config.queues = static_cast<std::uint16_t>(queues().size());
        config.max_discard_sectors = config.max_write_zeroes_sectors = max_discard_sectors;
        config.max_discard_segments = config.max_write_zeroes_segments = max_discard_segments;
        config.discard_sector_alignment = 1;
        config.write_zeroes_may_unmap = 1;
        return config_bytes(config);
    }

    void handle(unsigned index, Chain chain) override {
        auto status = chain.split_tail(1);
        if (status.writable() == 0) {
            fail(); // section 5.2.6: there is no way to answer
            return;
        }
        Worker& worker = *workers_[index % workers_.size()];
        worker.submit(
            [this, index, target = target(), chain = std::move(chain), status = std::move(status)]() mutable {
                const auto result = perform(chain, target);
                status.write(std::as_bytes(std::span(&result, 1)));
                finish({index, chain.head(), chain.written() + status.written()});
            });
    }

    [[nodiscard]] BlockTarget target() {
        return {.backend = backend_, .serial = serial_, .flush_each_write = !negotiated(feature_flush)};
    }

    // On a worker's thread.
    void finish(Finished finished) {
        const std::lock_guard lock(mutex_);
        finished_.push_back(finished);
        if (finished_.size() == 1) {
            environment().loop.post(lifetime().guard([this] { complete_finished(); }));
        }
    }

    void complete_finished() {
        for (const auto& done : take_finished()) {
            push(done.queue, done.head, done.written);
        }
        for (unsigned index = 0; index < queues().size(); ++index) {
            signal(index);
        }
    }

    [[nodiscard]] std::vector<Finished> take_finished() {
        const std::lock_guard lock(mutex_);
        return std::exchange(finished_, {});
    }

    // A driver that resets the device has its memory back afterwards: nothing may be under way.
    void stopped() override {
        for (const auto& worker : workers_) {
            worker->cancel();
        }
        static_cast<void>(take_finished());
    }

    // What is saved has no request under way.
    void visit_state(StateVisitor& visitor) override {
        if (!visitor.loading()) {
            for (const auto& worker : workers_) {
                worker->drain();
            }
            complete_finished();
        }
    }

    backends::BlockBackend& backend_;
    std::string serial_;
    std::mutex mutex_;
    std::vector<Finished> finished_;               // guarded by mutex_
    std::vector<std::unique_ptr<Worker>> workers_; // last: they end before what they use
};

} // namespace

std::unique_ptr<VirtioDevice> create_block(const Environment& environment, backends::BlockBackend& backend,
                                           const BlockOptions& options) {
    return std::make_unique<Block>(environment, backend, options);
}

} // namespace strata::devices::virtio
