#include "image/store/pin.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "image/store/lock.hpp"

namespace strata::image {
namespace {

constexpr std::uint64_t longest_pin = 16U << 20;

} // namespace

Result<void> pin(const std::string& store, const std::string& owner, const std::vector<Digest>& digests,
                 PinEnd end) {
    const auto lock = StoreLock::shared(store);
    if (!lock) {
        return std::unexpected(lock.error());
    }
    std::string text;
    for (const auto& digest : digests) {
        text += digest.text() + "\n";
    }
    if (auto made = make_directories(store + "/pins", 0700); !made) {
        return made;
    }
    const auto replace = end == PinEnd::removal ? replace_file : replace_passing_file;
    return replace(pin_path(store, owner), text, 0600);
}

std::vector<Digest> pinned_digests(const std::string& store) {
    std::vector<Digest> digests;
    for (const auto& owner : pin_owners(store)) {
        const auto content = read_file(pin_path(store, owner), "pin", longest_pin);
        if (!content) {
            continue; // taken back meanwhile
        }
        std::string_view text(reinterpret_cast<const char*>(content->data()), content->size());
        while (!text.empty()) {
            const auto end = text.find('\n');
            if (auto digest = Digest::parse(text.substr(0, end))) {
                digests.push_back(std::move(*digest));
            }
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
    }
    return digests;
}

} // namespace strata::image
