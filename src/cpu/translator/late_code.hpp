// What is emitted behind a trace, and what jumps there need until then: in one piece of memory, which goes
// with the compiler of the trace.
#pragma once

#include <array>
#include <cstddef>
#include <memory_resource>
#include <type_traits>
#include <utility>
#include <vector>

namespace strata::cpu::translator {

class LateCode {
public:
    LateCode() = default;
    LateCode(const LateCode&) = delete;
    LateCode& operator=(const LateCode&) = delete;
    ~LateCode() = default;

    // Lives as long as this.
    template <class T>
    [[nodiscard]] T& make() {
        return keep(T{});
    }

    // To be called by emit().
    template <class Emit>
    void add(Emit emit) {
        pieces_.push_back({&keep(std::move(emit)), [](void* piece) { (*static_cast<Emit*>(piece))(); }});
    }

    // In the order in which they came; each may add more.
    void emit() {
        for (std::size_t i = 0; i < pieces_.size(); ++i) { // NOLINT(modernize-loop-convert): it grows
            const Piece piece = pieces_[i];
            piece.emit(piece.what);
        }
    }

private:
    struct Piece {
        void* what;
        void (*emit)(void*);
    };

    template <class T>
    T& keep(T value) {
        static_assert(std::is_trivially_destructible_v<T>, "nobody destroys it");
        return *new (memory_.allocate(sizeof(T), alignof(T))) T(std::move(value));
    }

    std::array<std::byte, std::size_t{32} << 10> usual_; // enough for most traces
    std::pmr::monotonic_buffer_resource memory_{usual_.data(), usual_.size()};
    std::pmr::vector<Piece> pieces_{&memory_};
};

} // namespace strata::cpu::translator
