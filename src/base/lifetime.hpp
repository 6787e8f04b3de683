// Callbacks that outlive the object they were made for, and then do nothing.
#pragma once

#include <memory>
#include <utility>

namespace strata {

// A member of the object that hands out callbacks. The object is destroyed, and the callbacks run, on one
// thread or under one lock, so that a callback that has begun finds its object whole.
class Lifetime {
public:
    template <class F>
    [[nodiscard]] auto guard(F callback) const {
        return [alive = std::weak_ptr<char>(token_),
                callback = std::move(callback)](auto&&... arguments) mutable {
            if (!alive.expired()) {
                callback(std::forward<decltype(arguments)>(arguments)...);
            }
        };
    }

private:
    std::shared_ptr<char> token_ = std::make_shared<char>();
};

} // namespace strata
