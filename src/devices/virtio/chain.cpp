#include "devices/virtio/chain.hpp"

#include "memory/racing_bytes.hpp"

namespace strata::devices::virtio {

void Chain::Stream::add(Buffer buffer) {
    left += buffer.bytes.size();
    buffers.push_back(buffer);
}

Buffer Chain::Stream::take(std::size_t limit) {
    Buffer& front = buffers[next];
    const auto size = std::min(limit, front.bytes.size());
    const Buffer piece{front.address, front.bytes.first(size)};
    front = {front.address + size, front.bytes.subspan(size)};
    left -= size;
    if (front.bytes.empty()) {
        ++next;
    }
    return piece;
}

std::size_t Chain::read(std::span<std::byte> to) {
    std::size_t done = 0;
    read_in_place(to.size(), [&](std::span<const std::byte> piece) {
        memory::copy_from_guest(to.data() + done, piece.data(), piece.size());
        done += piece.size();
        return true;
    });
    return done;
}

std::size_t Chain::write(std::span<const std::byte> from) {
    std::size_t done = 0;
    write_in_place(from.size(), [&](std::span<std::byte> piece) {
        memory::copy_to_guest(piece.data(), from.data() + done, piece.size());
        done += piece.size();
        return true;
    });
    return done;
}

Chain Chain::split_tail(std::size_t size) {
    Chain tail(*memory_, head_);
    std::vector<Buffer> last_first;
    size = std::min(size, writable_.left);
    writable_.left -= size;
    while (size > 0) {
        Buffer& back = writable_.buffers.back();
        const auto taken = std::min(size, back.bytes.size());
        const auto kept = back.bytes.size() - taken;
        last_first.push_back({back.address + kept, back.bytes.subspan(kept)});
        back.bytes = back.bytes.first(kept);
        if (kept == 0) {
            writable_.buffers.pop_back();
        }
        size -= taken;
    }
    for (auto buffer = last_first.rbegin(); buffer != last_first.rend(); ++buffer) {
        tail.writable_.add(*buffer);
    }
    return tail;
}

} // namespace strata::devices::virtio
