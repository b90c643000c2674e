"""Cases, slices, the split by case, augmentation and the data set. Never imports fit, judge or release."""
