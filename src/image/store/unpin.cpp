// Apart from pin.cpp: monitors take pins back, and are linked without what digests need.
#include "image/store/pin.hpp"

#include <filesystem>
#include <unistd.h>

namespace strata::image {

std::string pin_path(const std::string& store, const std::string& owner) { return store + "/pins/" + owner; }

std::vector<std::string> pin_owners(const std::string& store) {
    std::vector<std::string> owners;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(store + "/pins", ignored)) {
        owners.push_back(entry.path().filename());
    }
    return owners;
}

void unpin(const std::string& store, const std::string& owner) {
    for (const auto& name : pin_owners(store)) {
        if (name == owner || name.starts_with(owner + ".")) {
            unlink(pin_path(store, name).c_str());
        }
    }
}

} // namespace strata::image
