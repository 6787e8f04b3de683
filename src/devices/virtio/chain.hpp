// One request of a driver: a chain of buffers, a part to read and then a part to write.
// Virtual I/O Device (VIRTIO) 1.2, section 2.7.
#pragma once

#include "memory/guest_memory.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

namespace strata::devices::virtio {

// Guest RAM that was checked when the chain was taken. The guest may still change its bytes at any time: read
// each once.
struct Buffer {
    memory::GuestPhysical address;
    std::span<std::byte> bytes;
};

// The readable and the writable bytes of a chain, each as one stream, whatever buffers the driver cut them
// into (section 2.7.4.3: framing means nothing). Both streams are consumed from the front.
class Chain {
public:
    Chain(memory::GuestMemory& memory, std::uint16_t head) : memory_(&memory), head_(head) {}

    [[nodiscard]] std::uint16_t head() const { return head_; }

    // Bytes left.
    [[nodiscard]] std::size_t readable() const { return readable_.left; }

    [[nodiscard]] std::size_t writable() const { return writable_.left; }

    // Bytes written so far: what the used ring reports.
    [[nodiscard]] std::uint32_t written() const { return written_; }

    // Copies out up to to.size() bytes; returns how many there were.
    std::size_t read(std::span<std::byte> to);

    // A little-endian structure from the front; empty if too few bytes are left.
    template <class T>
        requires std::is_trivially_copyable_v<T>
    [[nodiscard]] std::optional<T> read() {
        T value;
        if (readable() < sizeof value) {
            return std::nullopt;
        }
        read(std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }

    // Copies in up to from.size() bytes; returns how many fitted.
    std::size_t write(std::span<const std::byte> from);

    // Calls `use(span)` for the guest's memory itself, piece by piece, for `size` bytes or what is left;
    // stops when `use` returns false. The pieces of write_in_place() count as written, and the engines are
    // told.
    template <class F>
    bool read_in_place(std::size_t size, F use) {
        while (size > 0 && readable() > 0) {
            const auto piece = readable_.take(size);
            size -= piece.bytes.size();
            if (!use(std::span<const std::byte>(piece.bytes))) {
                return false;
            }
        }
        return true;
    }

    template <class F>
    bool write_in_place(std::size_t size, F use) {
        while (size > 0 && writable() > 0) {
            const auto piece = writable_.take(size);
            size -= piece.bytes.size();
            const bool more = use(piece.bytes);
            memory_->written(piece.address, piece.bytes.size());
            written_ += static_cast<std::uint32_t>(piece.bytes.size());
            if (!more) {
                return false;
            }
        }
        return true;
    }

    // Moves the last `size` writable bytes, or all there are, to a chain of their own: a status at the end of
    // a request, wherever the driver cut it.
    [[nodiscard]] Chain split_tail(std::size_t size);

private:
    friend class Queue;

    struct Stream {
        std::vector<Buffer> buffers;
        std::size_t next = 0; // the buffer that the next byte is in
        std::size_t left = 0;

        void add(Buffer buffer);
        // The next piece of contiguous bytes, at most `limit` long; there is one.
        Buffer take(std::size_t limit);
    };

    memory::GuestMemory* memory_;
    std::uint16_t head_;
    std::uint32_t written_ = 0;
    Stream readable_, writable_;
};

} // namespace strata::devices::virtio
